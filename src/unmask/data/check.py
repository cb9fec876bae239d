"""Checks that ids are in a vocabulary, a few million at a time.

T values of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from unmask.data.rows import StoredPart, StoredRows
from unmask.errors import DataError

CHUNK = 1 << 22


def highest_id(rows: StoredRows) -> int:
    """Return the highest id. Raises DataError for a negative one, with its place."""
    top = 0
    for part in rows.parts:
        for begin, chunk in _chunks(part):
            if chunk.min() < 0:
                position = begin + int(np.flatnonzero(chunk < 0)[0])
                raise DataError(
                    f"{part.describe(position)}: id {part.values[position]} is negative; ids count "
                    "from 0, and a prompt is marked in a column 'labels' or 'prompt'"
                )
            top = max(top, int(chunk.max()))
    return top


def check_below(rows: StoredRows, size: int, advice: str) -> None:
    """Raise DataError for the first id that is not below size; advice: what to type instead."""
    for part in rows.parts:
        for begin, chunk in _chunks(part):
            if int(chunk.max()) >= size:
                position = begin + int(np.flatnonzero(chunk >= size)[0])
                raise DataError(
                    f"{part.describe(position)}: id {part.values[position]} is not below {size}; "
                    f"{advice}"
                )


def seen(rows: StoredRows, ids: Sequence[int]) -> dict[int, str]:
    """Return which of these ids are in the data, each with the first place of it."""
    found: dict[int, str] = {}
    for part in rows.parts:
        for begin, chunk in _chunks(part):
            hits = np.flatnonzero(np.isin(chunk, list(ids))) if len(ids) else np.zeros(0, int)
            values, first = np.unique(chunk[hits], return_index=True)
            for value, index in zip(values, first, strict=True):
                if int(value) not in found:
                    found[int(value)] = part.describe(begin + int(hits[index]))
    return found


def _chunks(part: StoredPart) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first position of each chunk, and its values."""
    for begin in range(0, len(part.values), CHUNK):
        yield begin, part.values[begin : begin + CHUNK]
