"""A sudoku solver for many boards at once: candidates as bits, singles, and search where they stop.

B boards, 81 cells. Boards lie in columns here, (81, B), so that one step of elimination is a few
operations on long rows. Bit d of a cell is set while digit d may stand there; a board whose cells
are all 0 has no solution.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unmask.tasks.boards import units_of

SIDE = 9
BOX = 3
CELLS = SIDE * SIDE
ALL = np.uint16(2**SIDE - 1)
NODES = 1024  # boards of a search that are read together
MOST_NODES = 200_000  # for one puzzle, after which the search gives up

Bits = NDArray[np.uint16]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

UNITS = units_of(SIDE, BOX)
# The three units of each cell, (81, 3).
_UNITS_OF = np.stack([np.flatnonzero(np.any(cell == UNITS, axis=1)) for cell in range(CELLS)])
COUNT = np.array([bin(bits).count("1") for bits in range(2**SIDE)], dtype=np.uint8)


def solve(digits: Integers, limit: int = 2) -> tuple[Integers, Integers, Flags]:
    """Solve puzzles (B, 81), where anything outside 0..8 is unknown.

    Returns how many solutions (B,), up to the limit, the limit too where the search gave up; the
    first one found (B, 81), -1 where there is none; and whether singles leave cells open (B,).
    """
    start = propagate(candidates(digits))
    count = np.zeros(len(digits), dtype=np.int64)
    found = np.full(digits.shape, -1, dtype=np.int64)
    for owners, boards in _solutions(start, limit, count):
        first, at = np.unique(owners, return_index=True)
        new = found[first, 0] < 0
        found[first[new]] = digits_of(boards[:, at[new]])
    dead = (start == 0).all(0)
    return count.clip(max=limit), found, ~dead & ~_is_solved(start)


def solvable(bits: Bits) -> Flags:
    """Whether boards (81, B) of candidates have a solution: (B,)."""
    count = np.zeros(bits.shape[1], dtype=np.int64)
    for _ in _solutions(bits, 1, count):
        pass
    return count > 0


def candidates(digits: Integers) -> Bits:
    """(B, 81) digits, unknown where outside 0..8, as bits (81, B)."""
    known = (digits >= 0) & (digits < SIDE)
    return np.where(known, 1 << digits.clip(0, SIDE - 1), ALL).T.astype(np.uint16)


def digits_of(bits: Bits) -> Integers:
    """(81, B) bits, one in each cell, as digits (B, 81)."""
    return np.log2(bits.T).astype(np.int64)


def propagate(bits: Bits) -> Bits:
    """Candidates (81, B) after all naked and hidden singles; boards of 0 where impossible."""
    bits, active = bits.copy(), np.arange(bits.shape[1])
    while len(active):
        before = bits[:, active]
        after = _singles(before)
        bits[:, active] = after
        active = active[(after != before).any(0) & (after != 0).all(0)]
    return bits


def _singles(bits: Bits) -> Bits:
    """One round for boards (81, B): what a unit holds elsewhere goes, what has one place stays."""
    single = (bits & (bits - np.uint16(1))) == 0
    taken, twice = _gathered(np.where(single, bits, np.uint16(0)))
    impossible = (twice != 0).any(0)
    bits = np.where(single, bits, bits & ~_seen(taken))
    once, twice = _gathered(bits)
    impossible |= (once != ALL).any(0)
    only = bits & _seen(once & ~twice)
    bits = np.where(only != 0, only, bits)
    bits[:, impossible | (bits == 0).any(0)] = 0
    return bits


def _gathered(bits: Bits) -> tuple[Bits, Bits]:
    """Of each unit (27, B): digits that some cell of it has, and digits that several have."""
    once = bits[UNITS[:, 0]]
    twice = np.zeros_like(once)
    for place in UNITS.T[1:]:
        cell = bits[place]
        twice |= once & cell
        once |= cell
    return once, twice


def _seen(units: Bits) -> Bits:
    """(27, B) digits of units -> (81, B) digits of the three units of each cell."""
    row, column, box = _UNITS_OF.T
    seen: Bits = units[row] | units[column] | units[box]
    return seen


def _is_solved(bits: Bits) -> Flags:
    solved: Flags = (COUNT[bits] == 1).all(0)
    return solved


def _solutions(start: Bits, limit: int, count: Integers) -> Iterator[tuple[Integers, Bits]]:
    """Solved boards and whose they are, depth first; `count` (B,) is kept up to date.

    A board (81, B) is left alone once it has `limit` solutions, or is taken to have them.
    """
    spent = np.zeros_like(count)
    open_, owner = start, np.arange(start.shape[1])
    while len(owner):
        rest = slice(0, max(0, len(owner) - NODES))
        boards, owners = open_[:, rest.stop :], owner[rest.stop :]
        open_, owner = open_[:, rest], owner[rest]
        np.add.at(spent, owners, 1)
        count[(spent > MOST_NODES) & (count < limit)] = limit
        wanted = count[owners] < limit
        boards, owners = propagate(boards[:, wanted]), owners[wanted]
        possible = (boards != 0).all(0)
        boards, owners = boards[:, possible], owners[possible]
        done = _is_solved(boards)
        if done.any():
            np.add.at(count, owners[done], 1)
            yield owners[done], boards[:, done]
        boards, owners = boards[:, ~done], owners[~done]
        if len(owners):
            with_, without = _branches(boards)
            open_ = np.concatenate([open_, without, with_], axis=1)
            owner = np.concatenate([owner, owners, owners])


def _branches(bits: Bits) -> tuple[Bits, Bits]:
    """Boards (81, B) with the lowest digit of a cell with fewest candidates, and without it."""
    column = np.arange(bits.shape[1])
    cell = fewest(bits)
    here = bits[cell, column]
    digit = here & (~here + np.uint16(1))
    with_, without = bits.copy(), bits.copy()
    with_[cell, column], without[cell, column] = digit, here & ~digit
    return with_, without


def fewest(bits: Bits, noise: NDArray[np.float64] | None = None) -> Integers:
    """(B,) an open cell with fewest candidates of each board (81, B); noise < 1 breaks ties."""
    size = COUNT[bits].astype(np.float64)
    size[size == 1] = SIDE + 1
    cell: Integers = (size if noise is None else size + noise).argmin(0)
    return cell
