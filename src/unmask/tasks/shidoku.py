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

# The rows, columns and boxes as position indices: twelve units of four cells, (12, 4).
_CELL = np.arange(CELLS).reshape(SIDE, SIDE)
_BOXES = _CELL.reshape(BOX, BOX, BOX, BOX).transpose(0, 2, 1, 3).reshape(SIDE, SIDE)
UNITS = torch.from_numpy(np.concatenate([_CELL, _CELL.T, _BOXES]))
BOARD = Board(SIDE, UNITS, "1, 2, 3 or 4", "such as 1..4..3..2..4..1")


def grids() -> Tensor:
    """All solved boards in lexicographic order: LongTensor (288, 16) of digits 0..3."""
    boards = torch.empty((1, 0), dtype=torch.long)
    lines = torch.tensor(list(permutations(range(DIGITS))))
    for _ in range(SIDE):
        boards = torch.cat(
            [boards.repeat_interleave(len(lines), dim=0), lines.repeat(len(boards), 1)], dim=1
        )
        boards = boards[_free_of_repeats(boards)]
    return boards


def split() -> tuple[Tensor, Tensor]:
    """The fixed split: 200 training grids (200, 16) and 88 held out (88, 16), both long."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(GRID_COUNT))
    shuffled = grids()[order]
    return shuffled[:TRAIN_COUNT], shuffled[TRAIN_COUNT:]


def is_valid(boards: Tensor) -> Tensor:
    """Whether each board is solved: every row, column and box holds the four digits.

    boards (B, 16) of any integer dtype -> bool (B,). A board with an unknown cell is not valid.
    Raises DataError for another shape or dtype.
    """
    return BOARD.is_valid(boards)


def count_solutions(tokens: Tensor) -> Tensor:
    """Return how many of the 288 grids agree with each puzzle: (B, 16) -> long (B,).

    Every id outside 0..3 counts as unknown. Raises DataError for another shape or dtype.
    """
    BOARD.check(tokens)
    known = (tokens >= 0) & (tokens < DIGITS)
    agree = (tokens[:, None] == grids().to(tokens.device)) | ~known[:, None]
    return agree.all(-1).sum(-1)


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
    wrong = (~is_valid(solved)).nonzero().flatten().tolist()
    if wrong:
        raise DataError(f"rows {wrong[:5]} are not solved boards; pass rows of shidoku.grids()")
    every = grids().numpy()
    rows = solved.cpu().long().numpy()
    found = [_unique_clues(row, every, clues, seed) for row in rows]
    known = torch.from_numpy(np.array(found, dtype=bool).reshape(-1, CELLS)).to(solved.device)
    return solved.long().masked_fill(~known, MASK_ID), known


def parse(text: str) -> tuple[Tensor, Tensor]:
    """Read puzzles, one line of 16 characters each: 1..4 are clues, '.' or '0' is unknown.

    Returns (tokens (B, 16) long with MASK_ID at unknown cells, known (B, 16) bool). Blank lines and
    `#` comments are skipped. Raises DataError naming line and column (both counted from 1).
    """
    return BOARD.parse(text)


def format(tokens: Tensor) -> str:
    """Write boards (B, 16) as lines of 16 characters, '.' for every id outside 0..3."""
    return BOARD.format(tokens)


def _free_of_repeats(boards: Tensor) -> Tensor:
    """Which partial boards (B, n), filled from the top, repeat no digit in a unit: bool (B,)."""
    filled = boards.shape[1]
    free = torch.ones(len(boards), dtype=torch.bool)
    for unit in UNITS:
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
