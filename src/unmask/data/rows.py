"""Rows of ids in a mapped file, in Arrow's memory, or in an array.

R rows of a part, slices of its T values; n positions of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unmask.errors import DataError

IDS = ("input_ids", "tokens", "ids")  # names of ids in tables and archives, the first one first
MASK = "attention_mask"  # flags beside them: 1 at tokens, 0 at padding


@dataclass(frozen=True)
class Place:
    """The origin of rows, for messages."""

    file: Path
    unit: str = "row"  # `row`, counted from 0, `line` or `record`, from 1, or `file`, one row
    column: str | None = None

    def describe(self, number: int) -> str:
        """Return text such as `data.jsonl, line 3 (counted from 1), column 'ids'`."""
        if self.unit == "file":
            return str(self.file)
        base = 1 if self.unit in ("line", "record") else 0
        column = "" if self.column is None else f", column {self.column!r}"
        return f"{self.file}, {self.unit} {number} (counted from {base}){column}"


@dataclass(frozen=True, eq=False)
class StoredPart:
    """Rows that share one array of values. Raises DataError for values that are no integers."""

    values: np.ndarray  # (T,) of any integer dtype, not copied
    starts: np.ndarray  # (R,) int64: the first index of each row in the values; ascending
    lengths: np.ndarray  # (R,) int64
    numbers: np.ndarray  # (R,) int64: the number of each row in messages
    place: Place
    given: np.ndarray | None = None  # (T,) bool, True at values of a prompt
    categories: np.ndarray | None = None  # (R,) int64: classes, −1 for no class
    skipped: np.ndarray | None = None  # (R,) int64: values of padding that were cut off before

    def __post_init__(self) -> None:
        if self.values.dtype.kind not in "iu":
            raise DataError(
                f"{self.place.file}: ids of dtype {self.values.dtype}; store integers, such as "
                "ids.astype(np.int32)"
            )

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, row: int) -> slice:
        """Return the values of a row, as a slice."""
        return slice(int(self.starts[row]), int(self.starts[row] + self.lengths[row]))

    def describe(self, position: int) -> str:
        """Return the place of a position of the values, as text."""
        row = int(np.searchsorted(self.starts, position, side="right")) - 1
        offset = position - int(self.starts[row])
        offset += 0 if self.skipped is None else int(self.skipped[row])
        where = self.place.describe(int(self.numbers[row]))
        return f"{where}, position {offset} (counted from 0)"

    def check(self, wrong: np.ndarray, why: Callable[[int], str]) -> None:
        """Raise DataError for the first row that is wrong (R,) bool. why: row -> the reason."""
        for row in np.flatnonzero(wrong)[:1]:
            raise DataError(f"{self.place.describe(int(self.numbers[row]))}: {why(int(row))}")

    def select(self, keep: np.ndarray) -> StoredPart:
        """Return the rows where keep (R,) is True; their padding is still there."""
        classes = None if self.categories is None else self.categories[keep]
        starts, lengths, numbers = self.starts[keep], self.lengths[keep], self.numbers[keep]
        return replace(self, starts=starts, lengths=lengths, numbers=numbers, categories=classes)


def packed(
    rows: Sequence[np.ndarray], numbers: Sequence[int] | np.ndarray, place: Place
) -> StoredPart:
    """Return a copy of rows (n,) in one array, of the smallest dtype that fits."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    values = np.concatenate(rows) if rows else np.zeros(0, np.uint8)
    if values.dtype == np.int64 and len(values):
        low, high = np.min_scalar_type(values.min()), np.min_scalar_type(values.max())
        small = np.promote_types(low, high)
        values = values.astype(small) if small.kind in "iu" else values
    starts = np.cumsum(lengths) - lengths
    return StoredPart(values, starts, lengths, np.array(numbers, np.int64), place)


def covered(starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """Return (size,) bool, True from each of the starts (R,) up to its end."""
    steps = np.zeros(size + 1, dtype=np.int64)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    inside: np.ndarray = steps[:-1].cumsum() > 0
    return inside


class StoredRows:
    """All rows of one or more parts, under one numbering."""

    def __init__(self, parts: Sequence[StoredPart]):
        self.parts = tuple(part for part in parts if len(part))
        self.lengths = np.concatenate([np.zeros(0, np.int64), *(p.lengths for p in self.parts)])
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return len(self.lengths)

    def find(self, index: int) -> tuple[StoredPart, int]:
        """Return the part of a row, and the row's number in it."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        part = self.parts[number]
        return part, index - (int(self._ends[number]) - len(part))

    def tokens(self, index: int) -> np.ndarray:
        """Return the ids (n,) of a row, in the stored dtype; a view."""
        part, row = self.find(index)
        return part.values[part.span(row)]

    def describe(self, index: int) -> str:
        """Return the place of a row, as text."""
        part, row = self.find(index)
        return part.place.describe(int(part.numbers[row]))


@dataclass(frozen=True, eq=False)
class Source:
    """All rows of some files, and their nature."""

    rows: StoredRows
    stream: bool = False  # whether they are running text or ids, a row for each file
    text: bool = False  # whether the files had text
    shape: tuple[int, ...] = ()  # of a row of an array: (W,), or (H,W) of images
    beside: tuple[str, ...] = ()  # columns of tables that mark prompts and classes
    masked: bool = False  # whether the files marked padding, which is cut off
    unread: tuple[str, ...] = ()  # columns of tables and arrays of files that are not read
    empty: int = 0  # number of empty rows of text, which are left out

    @property
    def padding(self) -> int:
        """The number of values that are in no row."""
        return sum(len(part.values) for part in self.rows.parts) - int(self.rows.lengths.sum())
