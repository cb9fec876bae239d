"""Checks that ids are in a vocabulary, a few million at a time.

T values of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from unmask.data.rows import StoredPart, StoredRows, covered
from unmask.errors import DataError

CHUNK = 1 << 22


def highest_id(rows: StoredRows) -> int:
    """Return the highest id. Raises DataError for a negative one, with its place."""
    top = 0
    for part in rows.parts:
        for positions, chunk in chunks(part):
            for wrong in np.flatnonzero(chunk < 0)[:1]:
                raise DataError(
                    f"{part.describe(positions[wrong])}: id {chunk[wrong]} is negative; ids count "
                    "from 0, and a prompt is marked in a column 'labels' or 'prompt'"
                )
            top = max(top, int(chunk.max()))
    return top


def check_below(rows: StoredRows, size: int, advice: str) -> None:
    """Raise DataError for the first id that is not below size; advice: what to type instead."""
    for part in rows.parts:
        for positions, chunk in chunks(part):
            for wrong in np.flatnonzero(chunk >= size)[:1]:
                raise DataError(
                    f"{part.describe(positions[wrong])}: id {chunk[wrong]} is not below {size}; "
                    f"{advice}"
                )


def seen(rows: StoredRows, ids: Sequence[int]) -> dict[int, str]:
    """Return which of these ids are in the data, each with the first place of it."""
    found: dict[int, str] = {}
    for part in rows.parts:
        for positions, chunk in chunks(part):
            hits = np.flatnonzero(np.isin(chunk, list(ids))) if len(ids) else np.zeros(0, int)
            values, first = np.unique(chunk[hits], return_index=True)
            for value, index in zip(values, first, strict=True):
                if int(value) not in found:
                    found[int(value)] = part.describe(positions[hits[index]])
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
