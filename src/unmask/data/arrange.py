"""Rows as examples: each row one example, or windows of a fixed length.

R rows, n positions of one of them, L positions of a window.
"""

from __future__ import annotations

import numpy as np
import torch

from unmask.data.corpus import Example, Lazy
from unmask.data.rows import StoredPart, StoredRows


class Documents(Lazy):
    """Rows as examples, one each."""

    def __init__(self, rows: StoredRows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, index: int) -> Example:
        """Return the row of this index."""
        part, row = self.rows.find(index)
        tokens = torch.from_numpy(part.values[part.span(row)].astype(np.int64))
        maskable = torch.ones(len(tokens), dtype=torch.bool)
        if part.given is not None:
            maskable = torch.from_numpy(~part.given[part.span(row)])
        category = -1 if part.categories is None else int(part.categories[row])
        return Example(tokens, maskable, None if category < 0 else category)


class Windows(Lazy):
    """Consecutive windows of all rows joined, with the id `separator`, or none, between rows."""

    def __init__(self, rows: StoredRows, length: int, separator: int | None):
        self.rows, self.length, self.separator = rows, length, separator
        between = 0 if separator is None else 1
        ends = np.cumsum(rows.lengths + between)
        self.starts = ends - rows.lengths - between  # (R,), of the rows in the joined stream
        self.total = int(ends[-1]) - between

    def __len__(self) -> int:
        return self.total // self.length

    def at(self, index: int) -> Example:
        """Return positions index·L to (index + 1)·L of the joined rows."""
        begin = index * self.length
        end = begin + self.length
        tokens = np.full(self.length, self.separator or 0, dtype=np.int64)
        row = int(np.searchsorted(self.starts, begin, side="right")) - 1
        while row < len(self.starts) and self.starts[row] < end:
            start = int(self.starts[row])
            low, high = max(begin, start), min(end, start + int(self.rows.lengths[row]))
            piece = self.rows.tokens(row)[low - start : high - start]
            tokens[low - begin : high - begin] = piece  # empty where it begins at the separator
            row += 1
        return Example(torch.from_numpy(tokens), torch.ones(self.length, dtype=torch.bool))


def cut(part: StoredPart, length: int) -> StoredPart:
    """Cut each row into windows (L,); the rest of a row is dropped."""
    counts = part.lengths // length
    row = np.repeat(np.arange(len(part)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = part.starts[row] + within * length
    return StoredPart(part.values, starts, np.full(len(row), length), part.numbers[row], part.place)
