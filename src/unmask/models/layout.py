"""The places of documents in packed rows.

Shapes: B documents, N positions of a document, D width, R packed rows of W positions, M valid
tokens over all documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.errors import DataError


@dataclass(frozen=True)
class PackedLayout:
    """The place of each valid token in the packed rows."""

    document: Tensor  # (M,) int64
    place: Tensor  # (M,) int64: its position in the document's row
    slot: Tensor  # (M,) int64: its place in the packed rows, flattened
    rows: int
    width: int

    def pack(self, x: Tensor, fill: int = 0) -> Tensor:
        """Return x (B,N,...) packed, (R,W,...), with `fill` at places without a token."""
        values = x[self.document, self.place]
        packed = values.new_full((self.rows * self.width, *values.shape[1:]), fill)
        return packed.index_copy(0, self.slot, values).view(self.rows, self.width, *x.shape[2:])

    def unpack(self, packed: Tensor, like: Tensor) -> Tensor:
        """Return packed (R,W,D) as (B,N,D), with zeros at padding. like: a tensor (B,N)."""
        values = packed.flatten(0, 1)[self.slot]
        empty = values.new_zeros((*like.shape, values.shape[-1]))
        return empty.index_put((self.document, self.place), values)

    def together(self) -> Tensor:
        """Return (R,1,W,W) bool: whether two places belong to one document, or both to none."""
        owner = self.document.new_full((self.rows * self.width,), -1)
        owner = owner.index_copy(0, self.slot, self.document).view(self.rows, self.width)
        return (owner[:, :, None] == owner[:, None, :]).unsqueeze(1)


def lay_out(valid: Tensor, length: int) -> PackedLayout:
    """Return a layout of the documents valid (B,N) bool in rows of at most `length` positions.

    Raises DataError for a longer document.
    """
    sizes = valid.sum(1).tolist()
    if max(sizes, default=0) > length:
        raise DataError(
            f"document {sizes.index(max(sizes))} has {max(sizes)} tokens, and packed rows have "
            f"{length}: pass Packed(denoiser, length={max(sizes)}), or shorter documents"
        )
    spots, filled = first_fit_decreasing(sizes, length)
    width = max(filled, default=0)
    starts = torch.tensor([row * width + at for row, at in spots], device=valid.device)
    document, place = valid.nonzero(as_tuple=True)
    rank = valid.long().cumsum(1)[document, place] - 1
    return PackedLayout(document, place, starts.long()[document] + rank, len(filled), width)


def first_fit_decreasing(
    sizes: list[int], capacity: int
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return (row, start) of each size, and the sum of sizes in each row.

    Sizes are placed from the longest on, each in the first row with room. Needs at most 11/9 of the
    fewest possible rows, plus one (Johnson, 1973).
    """
    filled: list[int] = []
    spots = [(0, 0)] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        size = sizes[index]
        if size == 0:
            continue
        row = next((r for r, used in enumerate(filled) if used + size <= capacity), len(filled))
        if row == len(filled):
            filled.append(0)
        spots[index] = (row, filled[row])
        filled[row] += size
    return spots, filled
