"""The base of all puzzles: their text, their rules, and a solver without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from unmask.tasks import shidoku, sudoku


@dataclass(frozen=True)
class Rules:
    """The rules of a kind of puzzle; B boards of N cells."""

    cells: int  # N
    parse: Callable[[str], tuple[Tensor, Tensor]]
    """Text -> tokens (B,N), known (B,N); DataError names line and column."""
    format: Callable[[Tensor], str]
    check_clues: Callable[[Tensor], None]
    """(B,N); DataError for the first board whose clues contradict each other."""
    is_valid: Callable[[Tensor], Tensor]
    """(B,N) -> (B,) bool."""
    solve: Callable[[Tensor], tuple[Tensor, Tensor]]
    """(B,N) -> how many solutions (B,), where 2 may stand for more, and the first one (B,N)."""


def _shidoku(tokens: Tensor) -> tuple[Tensor, Tensor]:
    grids = shidoku.grids().to(tokens.device)
    unknown = (tokens < 0) | (tokens >= shidoku.DIGITS)
    agree = ((tokens[:, None] == grids) | unknown[:, None]).all(-1)
    return agree.sum(1), grids[agree.int().argmax(1)]


def _sudoku(tokens: Tensor) -> tuple[Tensor, Tensor]:
    rating = sudoku.rate(tokens)
    return rating.solutions, rating.solution


RULES: dict[str, Rules] = {
    "shidoku": Rules(
        shidoku.CELLS,
        shidoku.parse,
        shidoku.format,
        shidoku.BOARD.check_clues,
        shidoku.is_valid,
        _shidoku,
    ),
    "sudoku": Rules(
        sudoku.CELLS,
        sudoku.parse,
        sudoku.format,
        sudoku.BOARD.check_clues,
        sudoku.is_valid,
        _sudoku,
    ),
}
