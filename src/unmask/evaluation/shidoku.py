"""Shidoku's figures: validity from nothing, and exactness on puzzles of held-out grids."""

from __future__ import annotations

from functools import partial

from unmask import presets
from unmask.core.network import Denoiser
from unmask.core.random import derive
from unmask.decoding import Strategy
from unmask.evaluation.boards import CLUES, SHIDOKU, posed
from unmask.evaluation.figures import Plan, Row

BOARDS = 1000
STEPS = (1, 4, 8, 16)
PUZZLES_PER_GRID = 6
# Measured elsewhere on the same task with 155k parameters, by (preset, steps).
REFERENCE = {("random_order", 1): 0.0, ("random_order", 16): 0.65, ("confidence", 16): 1.0}
PUZZLE_REFERENCE = {8: 0.773, 16: 1.0}


def plan(model: Denoiser, seed: int, quick: bool) -> Plan:
    """Every measurement with its name."""
    boards = BOARDS // 10 if quick else BOARDS
    for preset in ("random_order", "confidence", "annealed"):
        for steps in STEPS:
            strategy = getattr(presets, preset)(steps=steps)
            name = f"{boards} boards from nothing, {preset}, T={steps}"
            yield name, partial(_from_nothing, model, strategy, steps, boards, seed)
    for steps in STEPS:
        name = f"{CLUES}-clue puzzles, confidence, T={steps}"
        yield name, partial(_puzzles, model, steps, 1 if quick else PUZZLES_PER_GRID)


def _from_nothing(model: Denoiser, strategy: Strategy, steps: int, boards: int, seed: int) -> Row:
    row = SHIDOKU.from_nothing(model, strategy, boards, seed, steps=steps)
    return row | {"reference": REFERENCE.get((strategy.name, steps))}


def _puzzles(model: Denoiser, steps: int, per_grid: int) -> Row:
    """Greedy draws at the most confident cells; a puzzle has 11 unknown cells."""
    count = per_grid * len(SHIDOKU.held_out())
    strategy = presets.confidence(steps=steps, temperature=0.0)
    played = SHIDOKU.play(model, strategy, derive(0, count), posed(SHIDOKU, count))
    row = played.row(f"{CLUES}-clue puzzles, held out", "confidence, greedy", steps=steps)
    return {**row, "reference": PUZZLE_REFERENCE.get(steps)}
