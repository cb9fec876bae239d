"""Philox by Triton: one launch for whatever the words broadcast to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unmask.core.philox.by_torch import Word

TILE = 256  # elements for one program
AXES = 3  # that the program tells apart


def made(counter: Sequence[Word], key: Tensor, count: int) -> Tensor:
    """(..., 4) int64, `philox.words`, or with a count of 1 or 2 (..., count), `philox.reals`."""
    from unmask.core.philox.program import draw

    given = (key, *counter)
    shape = np.broadcast_shapes(*(word.shape for word in given if isinstance(word, Tensor)))
    dtype = torch.int64 if count == 4 else torch.float64
    out = torch.empty((*shape, count), dtype=dtype, device=key.device)
    if not out.numel():
        return out
    sizes, strides = _axes(shape, given)
    if len(sizes) > AXES:
        given = tuple(
            word.expand(shape).reshape(-1) if isinstance(word, Tensor) else word for word in given
        )
        sizes, strides = _axes((out.numel() // count,), given)
    missing = AXES - len(sizes)
    outer, middle, inner = (*[1] * missing, *sizes)
    tiles = -(-inner // TILE)
    flat = [stride for word in strides for stride in (*[0] * missing, *word)]
    with torch.cuda.device_of(out):
        draw[(outer * middle * tiles,)](
            out,
            *given,
            *flat,
            middle,
            inner,
            tiles,
            COUNT=count,
            TILE=TILE,
            enable_fp_fusion=False,
        )
    return out


def _axes(shape: Sequence[int], words: Sequence[Word]) -> tuple[list[int], list[list[int]]]:
    """The fewest axes that tell all elements apart, and the strides of each word along them.

    Neighbouring axes become one where every word goes on from the one to the other. A number, like
    what is broadcast, has strides of 0.
    """
    strides = [
        word.expand(shape).stride() if isinstance(word, Tensor) else (0,) * len(shape)
        for word in words
    ]
    sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in words]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        steps = [stride[axis] for stride in strides]
        if sizes and all(kept[-1] == size * step for kept, step in zip(merged, steps, strict=True)):
            sizes[-1] *= size
        else:
            sizes.append(size)
            for kept in merged:
                kept.append(0)
        for kept, step in zip(merged, steps, strict=True):
            kept[-1] = step
    return sizes, merged
