"""Philox by Triton: one launch for whatever the words broadcast to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from unmask.core.philox.by_torch import Word

Shape = tuple[int, ...]
Form = tuple[Shape, Shape]

TILE = 256  # elements for one program
AXES = 3  # that the program tells apart


def made(counter: Sequence[Word], key: Tensor, count: int) -> Tensor:
    """(..., 4) int64, `philox.words`, or with a count of 1 or 2 (..., count), `philox.reals`."""
    from unmask.core.philox.program import philox_kernel

    given = (key, *counter)
    shape, sizes, strides = _layout(*map(_form, given))
    dtype = torch.int64 if count == 4 else torch.float64
    out = torch.empty((*shape, count), dtype=dtype, device=key.device)
    if not out.numel():
        return out
    if len(sizes) > AXES:
        given = tuple(w.expand(shape).reshape(-1) if isinstance(w, Tensor) else w for w in given)
        _, sizes, strides = _layout(*map(_form, given))
    missing = AXES - len(sizes)
    outer, middle, inner = (*[1] * missing, *sizes)
    tiles = -(-inner // TILE)
    flat = [stride for word in strides for stride in (*[0] * missing, *word)]
    with torch.cuda.device_of(out):
        philox_kernel[(outer * middle * tiles,)](
            out, *given, *flat, middle, inner, tiles,
            COUNT=count, TILE=TILE, enable_fp_fusion=False,
        )  # fmt: skip
    return out


def _form(word: Word) -> Form:
    return (tuple(word.shape), word.stride()) if isinstance(word, Tensor) else ((), ())


@lru_cache(maxsize=256)  # one step asks for what the last did
def _layout(*forms: Form) -> tuple[Shape, Shape, tuple[Shape, ...]]:
    """The shape of all words together; its axes, as few as will do; each word's strides along them.

    forms: shape and strides of each word. Neighbouring axes become one where every word goes on
    from the one to the other. What is broadcast has strides of 0.
    """
    shape = np.broadcast_shapes(*(own for own, _ in forms))
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in forms]
    for axis, size in enumerate(shape, start=-len(shape)):
        if size == 1:
            continue
        steps = [
            stride[axis] if len(own) >= -axis and own[axis] != 1 else 0 for own, stride in forms
        ]
        last = [word[-1] for word in strides if word]
        if sizes and last == [size * step for step in steps]:
            sizes[-1] *= size
            for word, step in zip(strides, steps, strict=True):
                word[-1] = step
        else:
            sizes.append(size)
            for word, step in zip(strides, steps, strict=True):
                word.append(step)
    return shape, tuple(sizes), tuple(map(tuple, strides))
