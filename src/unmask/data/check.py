"""Checks of the values of rows, a few million at a time.

T values of a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from unmask.data.rows import StoredPart, StoredRows, covered
from unmask.errors import DataError

CHUNK = 1 << 22


def check_values(
    parts: Sequence[StoredPart],
    wrong: Callable[[np.ndarray], np.ndarray],
    why: Callable[[int], str],
) -> int:
    """Return the highest value. Raises DataError for the first that is wrong, with its place.

    wrong: values (n,) -> (n,) bool; why: a value -> the reason.
    """
    top = 0
    for part in parts:
        for positions, chunk in chunks(part):
            for at in np.flatnonzero(wrong(chunk))[:1]:
                raise DataError(f"{part.describe(positions[at])}: {why(int(chunk[at]))}")
            top = max(top, int(chunk.max()))
    return top


def highest_id(rows: StoredRows) -> int:
    """Return the highest id. Raises DataError for a negative one."""
    advice = "ids count from 0, and a prompt is marked in a column 'labels' or 'prompt'"
    return check_values(rows.parts, lambda v: v < 0, lambda v: f"id {v} is negative; {advice}")


def seen(rows: StoredRows, ids: Sequence[int]) -> dict[int, str]:
    """Return which of these ids are in the data, each with the first place of it."""
    found: dict[int, str] = {}
    for part in rows.parts:
        for positions, chunk in chunks(part):
            hits = np.flatnonzero(np.isin(chunk, list(ids)))
            values, first = np.unique(chunk[hits], return_index=True)
            for value, index in zip(values.tolist(), hits[first], strict=True):
                found.setdefault(value, part.describe(positions[index]))
    return found


def absent(rows: StoredRows, size: int) -> list[int]:
    """Return which ids below size the data has nowhere."""
    there = np.zeros(size, dtype=bool)
    for part in rows.parts:
        for _, chunk in chunks(part):
            there |= np.bincount(chunk, minlength=size) > 0
    return np.flatnonzero(~there).tolist()


def chunks(part: StoredPart) -> Iterator[tuple[Sequence[int] | np.ndarray, np.ndarray]]:
    """Yield some positions of the values at a time that are in a row, and the values there."""
    ends = part.starts + part.lengths
    gaps = int(part.lengths.sum()) < len(part.values)
    for begin in range(0, len(part.values), CHUNK):
        chunk = part.values[begin : begin + CHUNK]
        stop = begin + len(chunk)
        if not gaps:
            yield range(begin, stop), chunk
            continue
        rows = slice(np.searchsorted(ends, begin, "right"), np.searchsorted(part.starts, stop))
        low, high = np.maximum(part.starts[rows], begin), np.minimum(ends[rows], stop)
        inside = covered(low - begin, high - begin, len(chunk))
        if inside.any():
            yield begin + np.flatnonzero(inside), chunk[inside]
