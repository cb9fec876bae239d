"""Philox by numpy, in few operations over small buffers.

Both products of a round stand in one array of 64-bit numbers: n of word 0, then n of word 2. Their
halves are read where they lie, as every second 32-bit number, and the new words are written into
the lower halves of what is multiplied next, whose upper halves stay zero. Everything is flat,
because numpy goes fastest over flat arrays of one shape.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from unmask.core.philox.by_torch import MULTIPLIERS, ROUNDS, WEYL, WORD

Array = npt.NDArray[Any]
Words = Sequence[Array | int]
Shape = tuple[int, ...]

PIECE = 2**13  # elements made at once, so that their buffers stay in the cache
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
_FACTORS = np.array(MULTIPLIERS, np.uint64)
# What is added to the key before each round, (rounds,2,1), modulo 2**32.
_STEPS = (np.arange(ROUNDS)[:, None] * WEYL).astype(np.uint32)[:, :, None]
# As arrays, which numpy takes up faster than integers.
_16, _32, _48 = (np.array(bits, np.uint64) for bits in (16, 32, 48))


def made(words: Words, shape: Shape, count: int) -> Array:
    """(..., 4) int64, `philox.words`, or with a count of 1 or 2 (..., count), `philox.reals`.

    words: the counter's four, and the key, which broadcast to the shape.
    """
    out = np.empty((*shape, count), np.int64 if count == 4 else np.float64)
    write = _write_words if count == 4 else _write_reals
    if prod(shape) <= PIECE:
        write(out.reshape(-1, count), *_rounds(words, shape))
        return out
    given = np.broadcast_arrays(*words)
    for at in _pieces(shape):
        part = [array[at] for array in given]
        write(out[at].reshape(-1, count), *_rounds(part, part[0].shape))
    return out


def _pieces(shape: Shape) -> Iterator[tuple[slice | int, ...]]:
    """Indices that cut an array of this shape into neighbouring pieces of PIECE or fewer."""
    inner = prod(shape[1:])
    if inner > PIECE:
        yield from ((i, *rest) for i in range(shape[0]) for rest in _pieces(shape[1:]))
    else:
        rows = PIECE // inner
        yield from ((slice(i, i + rows),) for i in range(0, shape[0], rows))


def _rounds(words: Words, shape: Shape) -> tuple[Array, Array]:
    """Words 0 and 2 of the result, (2,n) uint64, and words 1 and 3, in lower halves of such."""
    n, (*counter, key) = prod(shape), words
    factors = _FACTORS.repeat(n)
    keys = np.empty((2, *shape), np.uint32)
    keys[0], keys[1] = key, key >> 32
    word = np.zeros(2 * n, np.uint64)  # word 0, then word 2
    lower = word.view(np.uint32)[_LOW::2]
    first, second = lower[:n], lower[n:]
    # What word 0 was multiplied to becomes words 2 and 3, and what word 2 was, words 0 and 1.
    before, after = _product(n), _product(n)
    for there, value in zip((first, before[2], second, before[1]), counter, strict=True):
        there.reshape(shape)[...] = value
    for key_now in (keys.reshape(2, n) + _STEPS).reshape(len(_STEPS), 2 * n):
        _, low3, low1, _, _ = before
        product, _, _, high2, high0 = after
        np.multiply(word, factors, product)
        np.bitwise_xor(high0, low1, first)
        np.bitwise_xor(high2, low3, second)
        np.bitwise_xor(lower, key_now, lower)
        before, after = after, before
    return word.reshape(2, n), before[0].reshape(2, n)[::-1]


def _product(n: int) -> tuple[Array, Array, Array, Array, Array]:
    """Room for 2n products, and its halves: the lower n and n, and the upper n and n."""
    product = np.empty(2 * n, np.uint64)
    halves = product.view(np.uint32)
    low, high = halves[_LOW::2], halves[_HIGH::2]
    return product, low[:n], low[n:], high[:n], high[n:]


def _write_words(out: Array, even: Array, odd: Array) -> None:
    out[:, 0::2] = even.T
    out[:, 1::2] = (odd & WORD).T


def _write_reals(out: Array, even: Array, odd: Array) -> None:
    for i in range(out.shape[1]):
        bits = even[i] << _16
        bits |= odd[i] << _32 >> _48  # the upper 16 of 32 bits
        np.multiply(bits.view(np.int64) + 0.5, 2.0**-48, out[:, i])
