"""Rows of different lengths: passes of the trunk over rows of about one length, cut to the longest.

Shapes: B rows, N positions, D width; b rows of one pass, n positions of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from unmask.errors import ModelError
from unmask.host import carry, derived, padded_last, row_lengths, rows_known, rows_of, taken
from unmask.types import Denoiser, Memory

PADDING = 0.1  # the share of positions passed through the trunk that may be padding


def trunk(
    denoiser: Denoiser, tokens: Tensor, valid: Tensor, memory: Memory, extra: dict[str, Any]
) -> tuple[Tensor, Memory]:
    """`denoiser.hidden`, (B,N) -> (B,N,D), without much padding where the denoiser allows it.

    It does where it `trims`, and is given nothing for each position but tokens; zeros then stand
    at padding.
    """
    each_row = all(isinstance(x, Tensor) and x.dim() == 1 for x in tree_leaves(extra))
    if memory is None and each_row and getattr(denoiser, "trims", False) and padded_last(valid):
        bounds = derived(valid, "cuts", lambda flags: cuts(row_lengths(flags)))
        if bounds[-1] < tokens.shape[1] or len(bounds) > 1:
            return _in_parts(denoiser, tokens, valid, extra, bounds), None
    return denoiser.hidden(tokens, valid=valid, memory=memory, **extra)


def cuts(lengths: np.ndarray, padding: float = PADDING) -> list[int]:
    """Lengths (B,) -> the widths of the passes, ascending; each row is in the narrowest that fits.

    As few passes as merging the cheapest neighbours finds while the share of padding stays below.
    """
    least = np.maximum(lengths, 1)
    found, times = np.unique(least, return_counts=True)
    widths: list[int] = found.tolist()
    counts: list[int] = times.tolist()
    needed = spent = int(least.sum())
    while len(widths) > 1:
        added = [counts[i] * (widths[i + 1] - widths[i]) for i in range(len(widths) - 1)]
        i = int(np.argmin(added))
        if spent + added[i] - needed >= padding * (spent + added[i]):
            break
        spent += added[i]
        moved = counts.pop(i)
        counts[i] += moved
        widths.pop(i)
    return widths


def _in_parts(
    denoiser: Denoiser, tokens: Tensor, valid: Tensor, extra: dict[str, Any], bounds: list[int]
) -> Tensor:
    out: Tensor | None = None
    for least, width in zip([-1, *bounds], bounds, strict=False):
        rows = _rows(valid, least, width)

        def part(leaf: Tensor, rows: Tensor = rows) -> Tensor:
            known = rows_known(rows)
            name = None if known is None else ("rows", known.tobytes())
            take = partial(taken, rows=rows)
            return take(leaf) if name is None else derived(leaf, name, take)

        flags = derived(part(valid), "cut", partial(_cut, width=width))
        hidden, memory = denoiser.hidden(
            tokens.index_select(0, rows)[:, :width].contiguous(),
            valid=flags,
            memory=None,
            **tree_map(part, extra),
        )
        if memory is not None:
            raise ModelError(
                f"{type(denoiser).__name__} has trims=True and returned a memory, which would have "
                "a width for each pass: leave trims out, or return None"
            )
        if out is None:
            out = hidden.new_zeros((*tokens.shape, *hidden.shape[2:]))
        out[:, :width].index_copy_(0, rows, hidden)
    assert out is not None
    return out


def _rows(valid: Tensor, least: int, width: int) -> Tensor:
    """(b,) int64: rows longer than `least` and no longer than `width`."""

    def found(flags: Tensor) -> Tensor:
        lengths, there = row_lengths(flags), flags.sum(1)
        return rows_of((lengths > least) & (lengths <= width), (there > least) & (there <= width))

    return derived(valid, f"rows {least}-{width}", found)


def _cut(whole: Tensor, width: int) -> Tensor:
    part = whole[:, :width].clone()  # a view would keep what it is known by
    carry(part, whole, np.arange(len(whole)))
    return part
