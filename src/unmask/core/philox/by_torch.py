"""Philox by torch, on any device, in int64 that holds 32 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 0xFFFFFFFF

Word = Tensor | int


def made(counter: Sequence[Word], key: Tensor, count: int) -> Tensor:
    """(..., 4) int64, `philox.words`, or with a count of 1 or 2 (..., count), `philox.reals`."""
    words = torch.broadcast_tensors(*_rounds(counter, key))
    if count == 4:
        return torch.stack(words, dim=-1)
    bits = torch.stack([(words[i] << 16) | (words[i + 1] >> 16) for i in (0, 2)[:count]], dim=-1)
    return (bits.to(torch.float64) + 0.5) * 2.0**-48


def _rounds(counter: Sequence[Word], key: Tensor) -> tuple[Any, Any, Any, Any]:
    c0, c1, c2, c3 = (word & WORD for word in counter)
    k0, k1 = key & WORD, (key >> 32) & WORD
    for _ in range(ROUNDS):
        high0, low0 = _multiply(MULTIPLIERS[0], c0)
        high1, low1 = _multiply(MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


def _multiply(constant: int, word: Any) -> tuple[Any, Any]:
    """(high, low) 32-bit halves of constant × word, without leaving 63 bits.

    The constants lie above 2**31; less 2**32 they are multiplied without overflow.
    """
    product = (constant - 2**32) * word
    return (product >> 32) + word, product & WORD
