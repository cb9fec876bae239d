"""Sudoku's figures: boards from nothing, and puzzles by their blanks and by how they are solved."""

from __future__ import annotations

from functools import lru_cache, partial

from torch import Tensor

from unmask import presets
from unmask.core.network import Denoiser
from unmask.core.random import derive
from unmask.decoding import Strategy
from unmask.evaluation.boards import SUDOKU
from unmask.evaluation.figures import Plan, Row, mean
from unmask.tasks import sudoku

BOARDS = 200
PUZZLES = 300  # of each number of blanks
BLANKS = (30, 40, 50, sudoku.MOST_BLANKS)


# As many forwards as there is doubt, or one for each cell.
SOLVERS = {
    "threshold .9": presets.threshold(threshold=0.9, block=None, temperature=0.0),
    "threshold .99": presets.threshold(threshold=0.99, block=None, temperature=0.0),
    "one at a time": presets.confidence(steps=sudoku.CELLS, temperature=0.0),
}


def plan(model: Denoiser, seed: int, quick: bool) -> Plan:
    """Every measurement with its name."""
    boards, count = (BOARDS // 10, PUZZLES // 10) if quick else (BOARDS, PUZZLES)
    for strategy in (
        presets.random_order(sudoku.CELLS),
        presets.confidence(sudoku.CELLS),
        presets.entropy_bound(0.02),
    ):
        name = f"{boards} boards from nothing, {strategy.name}"
        yield name, partial(SUDOKU.from_nothing, model, strategy, boards, seed)
    for solver, strategy in SOLVERS.items():
        for blanks in BLANKS:
            for guessing in sorted(set(puzzles(blanks)[2][:count].tolist())):
                row = partial(_puzzles, model, solver, strategy, count, blanks, guessing)
                yield f"puzzles of {blanks} blanks, {solver}", row


def _puzzles(
    model: Denoiser, solver: str, strategy: Strategy, count: int, blanks: int, guessing: bool
) -> Row:
    """Puzzles of held-out grids, of which those are solved that need guessing, or the others."""
    solution, tokens, needs = (part[:count] for part in puzzles(blanks))
    chosen = needs == guessing
    solution, tokens = solution[chosen], tokens[chosen]
    known = tokens != sudoku.MASK_ID
    played = SUDOKU.play(model, strategy, derive(0, len(tokens)), (solution, tokens, known))
    blanks_left = mean((~known).sum(1))
    return played.row("puzzles, held out", solver, blanks=blanks_left, guessing=guessing)


@lru_cache
def puzzles(blanks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Held-out grids (B, 81), a puzzle of each, and which need guessing (B,): always the same."""
    grids = sudoku.held_out()[:PUZZLES]
    tokens, _ = sudoku.puzzles(grids, blanks)
    return grids, tokens, sudoku.rate(tokens).guessing
