"""Padding that rows were stored with: cut off where it is marked, told where it is likely.

R rows of a part, T of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unmask.data import check
from unmask.data.rows import MASK, StoredPart
from unmask.errors import DataError


def check_flags(flags: StoredPart, whole: StoredPart) -> StoredPart:
    """Return flags if they are 0 or 1, one for each value of `whole`. Raises DataError if not."""
    flags.check(
        flags.lengths != whole.lengths,
        lambda row: (
            f"{flags.lengths[row]} flags of {whole.lengths[row]} tokens; give one flag a token"
        ),
    )
    why = "is no flag; write 1 or 0"
    check.check_values([flags], lambda v: (v != 0) & (v != 1), lambda v: f"{v} {why}")
    return flags


def cut_by_mask(part: StoredPart, mask: StoredPart) -> StoredPart:
    """Return the rows where their mask is 1. mask: as `check_flags` returns it.

    Raises DataError for rows of padding alone, and for padding between tokens.
    """
    first, stop, count = _extents(mask, lambda flags: flags != 0)
    for row in np.flatnonzero(count != stop - first)[:1]:
        hole = int(first[row]) + int(np.argmin(mask.values[first[row] : stop[row]]))
        raise DataError(
            f"{mask.describe(hole)}: 0 between tokens; padding is at the ends of a row, and every "
            "token of a row is seen by the others"
        )
    return _cut(part, first, stop)


def cut_id(part: StoredPart, number: int) -> StoredPart:
    """Return the rows without this id at their ends. Raises DataError for rows of it alone."""
    first, stop, _ = _extents(part, lambda values: values != number)
    return _cut(part, first, stop)


def rows_with_inner(part: StoredPart, number: int) -> int:
    """Return the number of rows that go on after this id, where it is not given."""
    if part.given is not None:
        ends = (part.values == number) & ~part.given
        part, number = replace(part, values=ends.view(np.uint8)), 1
    first, stop, count = _extents(part, lambda values: values != number)
    return int(((count != stop - first) | ((first > part.starts) & (count > 0))).sum())


def likely_padding(parts: Sequence[StoredPart]) -> str | None:
    """Return a sentence on an id that rows end or begin with, and have nowhere else; None if none.

    Padding repeats one id, more often in some rows than in others.
    """
    for side, at in (("end", -1), ("beginning", 0)):
        outer = np.concatenate([_edge(part, at, 0) for part in parts])
        ids, often = np.unique(outer, return_counts=True)
        number = int(ids[often.argmax()])
        if not any((_edge(part, at, 1) == number).any() for part in parts):
            continue  # before all values are read
        left = np.concatenate([_surplus(part, number, at) for part in parts])
        if left.max() > 1 and left.min() >= 0 and left.min() < left.max():
            return (
                f"id {number} is at the {side} of {(left > 0).sum():,} rows, {left.sum():,} times, "
                f"and nowhere else; if it is padding, mark it by 0 in {MASK!r} beside the ids, or "
                "it is learnt"
            )
    return None


def _edge(part: StoredPart, at: int, depth: int) -> np.ndarray:
    """Return the values `depth` before the last (at −1) or after the first (0) of longer rows."""
    some = part.lengths > depth
    first, last = part.starts[some], part.starts[some] + part.lengths[some] - 1
    edge: np.ndarray = part.values[first + depth if at == 0 else last - depth]
    return edge


def _surplus(part: StoredPart, number: int, at: int) -> np.ndarray:
    """Return how often (R,) a row ends (at −1) or begins (0) with an id; −1 if it is inside too."""
    first, stop, count = _extents(part, lambda values: values != number)
    outside = [first - part.starts, part.starts + part.lengths - stop]
    nowhere_else = (count == stop - first) & (count > 0) & (outside[at + 1] == 0)
    return np.where(nowhere_else, outside[at], -1)


def _cut(part: StoredPart, first: np.ndarray, stop: np.ndarray) -> StoredPart:
    part.check(stop == first, lambda _: "nothing but padding; leave the row out")
    before = 0 if part.skipped is None else part.skipped
    skipped = before + first - part.starts
    return replace(part, starts=first, lengths=stop - first, skipped=skipped)


def _extents(
    part: StoredPart, keep: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, (R,) each, the first kept position, the one behind the last, and how many are kept.

    keep: values (n,) -> (n,) bool. A row of which nothing is kept has its start twice.
    """
    ends = part.starts + part.lengths
    first, stop, count = part.starts.copy(), part.starts.copy(), np.zeros(len(part), np.int64)
    row = 0
    while row < len(part):
        low = int(part.starts[row])
        after = max(row + 1, int(np.searchsorted(ends, low + check.CHUNK, side="right")))
        rows = slice(row, after)
        kept = low + np.flatnonzero(keep(part.values[low : ends[after - 1]]))
        begin, end = np.searchsorted(kept, part.starts[rows]), np.searchsorted(kept, ends[rows])
        some = end > begin
        first[rows][some] = kept[begin[some]]
        stop[rows][some] = kept[end[some] - 1] + 1
        count[rows] = end - begin
        row = after
    return first, stop, count
