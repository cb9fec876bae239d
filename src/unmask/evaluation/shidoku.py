"""Shidoku's figures: validity from nothing, and exactness on puzzles of held-out grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from unmask import presets
from unmask.core.network import Denoiser
from unmask.decoding import Canvas, Strategy
from unmask.engine.run import run
from unmask.tasks import shidoku

BOARDS = 1000
STEPS = (1, 4, 8, 16)
CLUES = 5
PUZZLES_PER_GRID = 6
# Measured elsewhere on the same task with 155k parameters, by (preset, steps).
REFERENCE = {("random_order", 1): 0.0, ("random_order", 16): 0.65, ("confidence", 16): 1.0}
PUZZLE_REFERENCE = {8: 0.773, 16: 1.0}

Plan = Iterator[tuple[str, Callable[[], dict[str, Any]]]]


def plan(model: Denoiser, seed: int, quick: bool) -> Plan:
    """Every measurement with its name."""
    boards = BOARDS // 10 if quick else BOARDS
    for preset in ("random_order", "confidence", "annealed"):
        for steps in STEPS:
            strategy = getattr(presets, preset)(steps=steps)
            yield (
                f"{boards} boards from nothing, {preset}, T={steps}",
                partial(_from_nothing, model, strategy, steps, boards, seed),
            )
    for steps in STEPS:
        yield (
            f"{CLUES}-clue puzzles, confidence, T={steps}",
            partial(_puzzles, model, steps, 1 if quick else PUZZLES_PER_GRID),
        )


def _from_nothing(
    model: Denoiser, strategy: Strategy, steps: int, boards: int, seed: int
) -> dict[str, Any]:
    result = run(model, Canvas.blank(boards, shidoku.CELLS), strategy, seed=seed)
    return {
        "task": "from nothing",
        "preset": strategy.name,
        "steps": steps,
        "forwards": float(result.forwards.double().mean()),
        "samples": boards,
        "valid": float(shidoku.is_valid(result.tokens).double().mean()),
        "exact": None,
        "reference": REFERENCE.get((strategy.name, steps)),
    }


def _puzzles(model: Denoiser, steps: int, per_grid: int) -> dict[str, Any]:
    """Greedy draws at the most confident cells; a puzzle has 11 unknown cells."""
    _, held_out = shidoku.split()
    drawn = [shidoku.puzzles(held_out, CLUES, seed=s) for s in range(per_grid)]
    tokens, known = (torch.cat(part) for part in zip(*drawn, strict=True))
    strategy = presets.confidence(steps=steps, temperature=0.0)
    result = run(model, Canvas.infill(tokens, ~known), strategy, seed=0)
    exact = (result.tokens == held_out.repeat(per_grid, 1)).all(1)
    return {
        "task": f"{CLUES}-clue puzzles, held out",
        "preset": "confidence, greedy",
        "steps": steps,
        "forwards": float(result.forwards.double().mean()),
        "samples": len(tokens),
        "valid": float(shidoku.is_valid(result.tokens).double().mean()),
        "exact": float(exact.double().mean()),
        "reference": PUZZLE_REFERENCE.get(steps),
    }
