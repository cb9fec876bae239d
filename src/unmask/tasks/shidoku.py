"""Shidoku, the 4×4 sudoku: all 288 grids, puzzles with one solution, and their text form.

B rows (one board each), 16 positions in row-major order, G = 288 grids. Ids 0..3 are the digits
1..4; `MASK_ID` stands at the positions of a puzzle that are unknown.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from unmask.constraints import Listed
from unmask.errors import DataError
from unmask.tasks.boards import Board

SIDE = 4
BOX = 2
CELLS = SIDE * SIDE
DIGITS = 4
MASK_ID = 4
VOCAB = 5
GRID_COUNT = 288
TRAIN_COUNT = 200
FEWEST_CLUES = 4
MAX_DRAWS = 10_000


def grids() -> Tensor:
    """All solved boards in lexicographic order: LongTensor (288, 16) of digits 0..3."""
    boards = torch.empty((1, 0), dtype=torch.long)
    lines = torch.tensor(list(permutations(range(DIGITS))))
    for _ in range(SIDE):
        above, below = boards.repeat_interleave(len(lines), 0), lines.repeat(len(boards), 1)
        boards = torch.cat([above, below], 1)
        boards = boards[_free_of_repeats(boards)]
    return boards


def split() -> tuple[Tensor, Tensor]:
    """The fixed split: 200 training grids (200, 16) and 88 held out (88, 16), both long."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(GRID_COUNT))
    shuffled = grids()[order]
    return shuffled[:TRAIN_COUNT], shuffled[TRAIN_COUNT:]


def count_solutions(tokens: Tensor) -> Tensor:
    """Return how many of the 288 grids agree with each puzzle: (B, 16) -> long (B,).

    Every id outside 0..3 counts as unknown. Raises DataError for another shape or dtype.
    """
    return BOARD.solve(tokens)[0]


def feasible() -> Listed:
    """A feasibility hook: the digits with which a board can still become one of the 288 grids."""
    return Listed(grids(), VOCAB)


def puzzles(solved: Tensor, clues: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Hide all but `clues` cells of each grid so that exactly one solution is left.

    solved (B, 16) -> (tokens (B, 16) long with MASK_ID at hidden cells, known (B, 16) bool).
    The clues of a grid depend on the seed and the grid alone, not on the others in the batch.
    Raises DataError where `solved` holds a board that is not solved, and for clue counts for which
    no puzzle has a unique solution.
    """
    if not FEWEST_CLUES <= clues <= CELLS:
        raise DataError(
            f"clues={clues}: a Shidoku puzzle with one solution needs {FEWEST_CLUES} to {CELLS} "
            "clues; type clues=5 for hard ones"
        )
    every, rows = grids().numpy(), BOARD.solved(solved, "shidoku.grids")
    found = [_unique_clues(row, every, clues, seed) for row in rows]
    return BOARD.hide(solved, np.array(found, dtype=bool).reshape(-1, CELLS))


def _free_of_repeats(boards: Tensor) -> Tensor:
    """Which partial boards (B, n), filled from the top, repeat no digit in a unit: bool (B,)."""
    filled = boards.shape[1]
    free = torch.ones(len(boards), dtype=torch.bool)
    for unit in BOARD.units:
        cells = boards[:, unit[unit < filled]].sort(dim=1).values
        free &= (cells[:, 1:] != cells[:, :-1]).all(1)
    return free


def _unique_clues(row: np.ndarray, every: np.ndarray, clues: int, seed: int) -> np.ndarray:
    """Draw clue masks (16,) for one grid until only that grid among all (G, 16) agrees."""
    # Seeded by the grid itself: the same grid gets the same puzzle in any batch.
    rng = np.random.default_rng([seed, *row.tolist()])
    for _ in range(MAX_DRAWS):
        known = np.zeros(CELLS, dtype=bool)
        known[rng.permutation(CELLS)[:clues]] = True
        if (every[:, known] == row[known]).all(1).sum() == 1:
            return known
    raise AssertionError(f"no unique mask of {clues} clues in {MAX_DRAWS} draws for {row.tolist()}")


def _solve(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Puzzles (B, 16) -> how many of the grids agree (B,), and the first of them (B, 16)."""
    BOARD.check(tokens)
    every = grids().to(tokens.device)
    unknown = (tokens < 0) | (tokens >= DIGITS)
    agree = ((tokens[:, None] == every) | unknown[:, None]).all(-1)
    return agree.sum(1), every[agree.int().argmax(1)]


BOARD = Board(SIDE, BOX, "1, 2, 3 or 4", "such as 1..4..3..2..4..1", _solve)
is_valid, parse, format = BOARD.is_valid, BOARD.parse, BOARD.format
