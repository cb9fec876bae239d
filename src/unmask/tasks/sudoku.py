"""Sudoku on 9×9 cells: random grids, puzzles with one solution, their rating and their text form.

B rows (one board each), 81 positions in row-major order. Ids 0..8 are the digits 1..9; `MASK_ID`
stands at the positions of a puzzle that are unknown. The solver is `tasks.sudoku_solver`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.core.random import check_seed
from unmask.errors import DataError
from unmask.tasks import sudoku_solver as solver
from unmask.tasks.boards import Board
from unmask.tasks.sudoku_solver import Bits, Integers

SIDE, BOX, CELLS = solver.SIDE, solver.BOX, solver.CELLS
DIGITS = 9
MASK_ID = 9
VOCAB = 10
POOL = 4000
TRAIN_COUNT = 60_000
HELD_OUT_COUNT = 1000
MOST_BLANKS = 64  # no puzzle with fewer than 17 clues has one solution (1201.0749)
LIMIT = 2


@dataclass(frozen=True, eq=False)
class Rating:
    """The difficulty of B puzzles."""

    solutions: Tensor  # (B,) long: 0, 1, or 2 for several, or where 200,000 boards did not tell
    blanks: Tensor  # (B,) long: unknown cells
    guessing: Tensor  # (B,) bool: naked and hidden singles alone do not solve it
    solution: Tensor  # (B, 81) long: the first one found, MASK_ID everywhere where there is none


def random_grids(count: int, seed: int = 0) -> Tensor:
    """Solved boards, each generated on its own: (count, 81) long.

    Cells with fewest candidates are filled with a random one of them, singles follow, and a board
    that comes to nothing starts again. Every grid can come out, but not all equally often. The
    grids are a function of count and seed together.
    """
    check_seed(seed)
    rng = np.random.default_rng([seed, count])
    boards = np.full((CELLS, count), solver.ALL)
    active = np.arange(count)
    while len(active):
        some = _one_more(boards[:, active], rng)
        some[:, (some == 0).any(0)] = solver.ALL
        boards[:, active] = some
        active = active[(solver.COUNT[some] != 1).any(0)]
    return torch.from_numpy(solver.digits_of(boards))


def transformed(grids: Tensor, seed: int = 0) -> Tensor:
    """Each board (B, 81) under a random symmetry of its own: (B, 81) long, MASK_ID kept.

    Digits are relabelled, bands and stacks permuted, rows within bands and columns within stacks
    too, and half of the boards transposed: 9!·6⁸·2 symmetries, which keep boards solved.
    """
    BOARD.check(grids)
    draw = torch.Generator().manual_seed(check_seed(seed))
    count = len(grids)
    rows, columns = _lines(count, draw), _lines(count, draw)
    square = grids.cpu().long().view(-1, SIDE, SIDE)
    square = square.gather(1, rows[:, :, None].expand(-1, -1, SIDE))
    square = square.gather(2, columns[:, None, :].expand(-1, SIDE, -1))
    turned = torch.rand(count, generator=draw) < 0.5
    square = torch.where(turned[:, None, None], square.transpose(1, 2), square)
    names = torch.rand(count, DIGITS, generator=draw).argsort(1)
    names = torch.cat([names, torch.full((count, 1), MASK_ID)], 1)
    return names.gather(1, square.flatten(1)).to(grids.device)


def split(train: int = TRAIN_COUNT, pool: int = POOL) -> tuple[Tensor, Tensor]:
    """Training grids (train, 81) and held-out ones (1000, 81), both long and always the same.

    Held-out grids are generated one by one. Training grids are random symmetries of a pool of
    other grids that were, so there are no more than `pool` essentially different ones.
    """
    alone = random_grids(pool, seed=0)
    return transformed(alone.repeat(-(-train // pool), 1)[:train]), held_out()


def held_out() -> Tensor:
    """The grids (1000, 81) that nothing is trained on."""
    return random_grids(HELD_OUT_COUNT, seed=1)


def rate(tokens: Tensor) -> Rating:
    """Solve puzzles (B, 81), every id outside 0..8 unknown, and say how hard they are."""
    BOARD.check(tokens)
    digits = tokens.cpu().long().numpy()
    count, found, guessed = solver.solve(digits, LIMIT)
    blanks = ((digits < 0) | (digits >= DIGITS)).sum(1)
    arrays = (count, blanks, guessed, np.where(found < 0, MASK_ID, found))
    return Rating(*(torch.from_numpy(array).to(tokens.device) for array in arrays))


def puzzles(solved: Tensor, blanks: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Hide up to `blanks` cells of each grid so that exactly one solution is left.

    solved (B, 81) -> (tokens (B, 81) long with MASK_ID at hidden cells, known (B, 81) bool). Cells
    are tried once each, in random order; a grid of which no further cell can go has fewer blanks,
    which begins at about 50: blanks=64 makes puzzles without a superfluous clue. The clues of a
    grid depend on the seed and the grid alone. Raises DataError for boards that are not solved.
    """
    if not 0 <= blanks <= MOST_BLANKS:
        raise DataError(
            f"blanks={blanks}: a puzzle with one solution has 0 to {MOST_BLANKS} unknown cells; "
            "type blanks=50 for hard ones"
        )
    rows = BOARD.solved(solved, "sudoku.random_grids")
    return BOARD.hide(solved, _clues(rows, blanks, check_seed(seed)))


def _one_more(bits: Bits, rng: np.random.Generator) -> Bits:
    """Boards (81, B) with a random candidate in one more cell each, and what follows from it."""
    column = np.arange(bits.shape[1])
    cell = solver.fewest(bits, rng.random(bits.shape))
    here = bits[cell, column]
    chosen = rng.random((DIGITS, len(column)))
    chosen[((here >> np.arange(DIGITS)[:, None]) & 1) == 0] = -1
    bits = bits.copy()
    bits[cell, column] = 1 << chosen.argmax(0)
    return solver.propagate(bits)


def _lines(count: int, draw: torch.Generator) -> Tensor:
    """(count, 9) orders of rows that keep bands together."""
    bands = torch.rand(count, BOX, 1, generator=draw).argsort(1)
    within = torch.rand(count, BOX, BOX, generator=draw).argsort(2)
    return (bands * BOX + within).flatten(1)


def _clues(grids: Integers, blanks: int, seed: int) -> np.ndarray:
    """(B, 81) bool: the cells of grids (B, 81) that stay."""
    # Seeded by the grid itself: the same grid gets the same puzzle in any batch.
    rngs = [np.random.default_rng([seed, *row.tolist()]) for row in grids]
    order = np.array([rng.permutation(CELLS) for rng in rngs], dtype=int).reshape(-1, CELLS)
    known = np.ones(grids.shape, dtype=bool)
    for cells in order.T:
        row = np.flatnonzero((~known).sum(1) < blanks)
        cell = cells[row]
        bits = solver.candidates(np.where(known[row], grids[row], MASK_ID))
        bits[cell, np.arange(len(row))] = solver.ALL ^ (1 << grids[row, cell]).astype(np.uint16)
        known[row, cell] = solver.solvable(bits)  # with another digit there: the clue must stay
    return known


def _solve(tokens: Tensor) -> tuple[Tensor, Tensor]:
    rating = rate(tokens)
    return rating.solutions, rating.solution


BOARD = Board(SIDE, BOX, "1 to 9", "'.' for an unknown cell", _solve)
is_valid, parse, format = BOARD.is_valid, BOARD.parse, BOARD.format
