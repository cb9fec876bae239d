"""Boards of Shidoku and Sudoku: drawn from nothing, and puzzles of held-out ones.

B boards of N cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from unmask.core.network import Denoiser
from unmask.core.random import derive
from unmask.decoding import Canvas, Strategy
from unmask.engine.run import run
from unmask.evaluation.figures import BATCH, Row, mean
from unmask.tasks import shidoku, sudoku
from unmask.tasks.boards import Board

CLUES = 5
BLANKS = 50

Posed = tuple[Tensor, Tensor, Tensor]
"""Solutions, puzzles and known cells, (B,N) each."""


@dataclass(frozen=True)
class Played:
    """Boards that a strategy has filled."""

    valid: Tensor  # (B,) bool: they keep the rules
    forwards: Tensor  # (B,) int64
    exact: Tensor | None = None  # (B,) bool: they are the solution, where there was a puzzle

    def row(self, task: str, preset: str, **more: Any) -> Row:
        """Return the means as columns of a table, beside these and more."""
        return {
            "task": task,
            "preset": preset,
            **more,
            "samples": len(self.valid),
            "valid": mean(self.valid),
            "exact": None if self.exact is None else mean(self.exact),
            "forwards": mean(self.forwards),
        }


@dataclass(frozen=True)
class Boards:
    """A kind of board, whose puzzles have one solution."""

    rules: Board
    held_out: Callable[[], Tensor]  # (G,N) solved boards
    hide: Callable[[Tensor, int], tuple[Tensor, Tensor]]  # boards, seed -> puzzles, known (B,N)

    def play(
        self, model: Denoiser, strategy: Strategy, seeds: Tensor, posed: Posed | None = None
    ) -> Played:
        """Fill in a board with each of the seeds (B,): puzzles that are posed, or from nothing."""
        if posed is None:
            canvas = Canvas.blank(len(seeds), self.rules.cells)
        else:
            canvas = Canvas.infill(posed[1], ~posed[2])
        made = run(model, canvas, strategy, seeds=seeds, max_rows=BATCH)
        exact = None if posed is None else (made.tokens == posed[0]).all(1)
        return Played(self.rules.is_valid(made.tokens), made.forwards, exact)

    def from_nothing(
        self, model: Denoiser, strategy: Strategy, count: int, seed: int, **more: Any
    ) -> Row:
        """Return the row of `count` boards without clues, with more columns."""
        played = self.play(model, strategy, derive(seed, count))
        return played.row("from nothing", strategy.name, **more)


SHIDOKU = Boards(
    shidoku.BOARD,
    lambda: shidoku.split()[1],
    lambda boards, seed: shidoku.puzzles(boards, CLUES, seed),
)
SUDOKU = Boards(
    sudoku.BOARD, sudoku.held_out, lambda boards, seed: sudoku.puzzles(boards, BLANKS, seed)
)


@lru_cache(maxsize=2)
def posed(kind: Boards, count: int) -> Posed:
    """Return `count` puzzles of held-out boards in turn.

    They are the same for every seed of a comparison, which is for what is drawn.
    """
    boards = kind.held_out()
    rounds = -(-count // len(boards))
    parts = [kind.hide(boards[: count - r * len(boards)], r) for r in range(rounds)]
    puzzles, known = (torch.cat(part) for part in zip(*parts, strict=True))
    return boards.repeat(rounds, 1)[:count], puzzles, known
