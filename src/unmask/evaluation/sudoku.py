"""Sudoku's figures: boards from nothing, and puzzles by their blanks and by how they are solved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from unmask import presets
from unmask.core.network import Denoiser
from unmask.decoding import Canvas, Strategy, row_seeds
from unmask.engine.run import run
from unmask.tasks import sudoku

BOARDS = 200
PUZZLES = 300  # of each number of blanks
BLANKS = (30, 40, 50, sudoku.MOST_BLANKS)
BATCH = 128

Plan = Iterator[tuple[str, Callable[[], dict[str, Any]]]]


def solvers() -> dict[str, Strategy]:
    """Ways to solve a puzzle: as many forwards as there is doubt, or one for each cell."""
    return {
        "threshold .9": presets.threshold(threshold=0.9, block=None, temperature=0.0),
        "threshold .99": presets.threshold(threshold=0.99, block=None, temperature=0.0),
        "one at a time": presets.confidence(steps=sudoku.CELLS, temperature=0.0),
    }


def plan(model: Denoiser, seed: int, quick: bool) -> Plan:
    """Every measurement with its name."""
    scale = 10 if quick else 1
    for strategy in (
        presets.random_order(sudoku.CELLS),
        presets.confidence(sudoku.CELLS),
        presets.entropy_bound(0.02),
    ):
        yield (
            f"{BOARDS // scale} boards from nothing, {strategy.name}",
            partial(_from_nothing, model, strategy, BOARDS // scale, seed),
        )
    count = PUZZLES // scale
    for name, strategy in solvers().items():
        for blanks in BLANKS:
            for guessing in sorted(set(puzzles(blanks)[2][:count].tolist())):
                row = partial(_puzzles, model, name, strategy, count, blanks, guessing)
                yield f"puzzles of {blanks} blanks, {name}", row


def _from_nothing(model: Denoiser, strategy: Strategy, boards: int, seed: int) -> dict[str, Any]:
    tokens, forwards = _solved(model, Canvas.blank(boards, sudoku.CELLS), strategy, seed)
    return {
        "task": "from nothing",
        "preset": strategy.name,
        "samples": len(tokens),
        "valid": float(sudoku.is_valid(tokens).double().mean()),
        "forwards": float(forwards.double().mean()),
    }


def _puzzles(
    model: Denoiser, name: str, strategy: Strategy, count: int, blanks: int, guessing: bool
) -> dict[str, Any]:
    """Puzzles of held-out grids, of which those are solved that need guessing, or the others."""
    solution, tokens, needs = (part[:count] for part in puzzles(blanks))
    chosen = needs == guessing
    solution, tokens = solution[chosen], tokens[chosen]
    unknown = tokens == sudoku.MASK_ID
    made, forwards = _solved(model, Canvas.infill(tokens, unknown), strategy, 0)
    return {
        "task": "puzzles, held out",
        "preset": name,
        "blanks": float(unknown.sum(1).double().mean()),
        "guessing": guessing,
        "samples": len(tokens),
        "valid": float(sudoku.is_valid(made).double().mean()),
        "exact": float((made == solution).all(1).double().mean()),
        "forwards": float(forwards.double().mean()),
    }


@lru_cache
def puzzles(blanks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Held-out grids (B, 81), a puzzle of each, and which need guessing (B,): always the same."""
    grids = sudoku.held_out()[:PUZZLES]
    tokens, _ = sudoku.puzzles(grids, blanks)
    return grids, tokens, sudoku.rate(tokens).guessing


def _solved(
    model: Denoiser, canvas: Canvas, strategy: Strategy, seed: int
) -> tuple[Tensor, Tensor]:
    """Tokens (B, 81) and forwards (B,), in batches; a row notices no other."""
    parts, seeds = [], row_seeds(canvas, seed, None)
    for start in range(0, len(canvas.tokens), BATCH):
        rows = slice(start, start + BATCH)
        part = Canvas(canvas.tokens[rows], canvas.editable[rows], canvas.valid[rows])
        parts.append(run(model, part, strategy, seeds=seeds[rows]))
    return torch.cat([p.tokens for p in parts]), torch.cat([p.forwards for p in parts])
