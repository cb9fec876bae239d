"""Stateless randomness: a uniform is a pure function of (row seed, step, position, purpose).

Philox4x32-10 in integer arithmetic (`philox`), so that hosts and devices agree bit for bit and no
generator state exists to be shared, forgotten or advanced by a neighbour in the batch.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from unmask.core import philox
from unmask.errors import SeedError

SEED_LIMIT = 2**63


class Purpose(IntEnum):
    """The uses of uniforms; two purposes never share one."""

    DRAW = 0
    ORDER = 1
    CHOICE = 2
    SEED = 3
    MASK_COUNT = 4
    MASK_PLACE = 5
    CORRUPT = 6
    CRITIC = 7
    SELF_CONDITION = 8
    CONDITION = 9
    TASK = 10
    REVEAL = 11
    AUGMENT = 12
    SHUFFLE = 13
    NOISE = 14
    NOISE_IDS = 15
    ATTENTION = 16


def uniform(
    seed: Tensor | np.ndarray,
    step: philox.Word,
    position: philox.Word,
    purpose: philox.Word,
    lane: philox.Word = 0,
    count: int = 2,
) -> Tensor:
    """Independent uniforms in the open interval (0, 1), two for each broadcast element.

    seed, step, position, purpose and lane are int64 and broadcast against each other: tensors on
    one device, or arrays on the host; all but the seed may be one number. seed is in [0, 2**63).
    lane tells apart what one position needs many of, such as noise for every id. Returns float64 of
    shape (..., count): two are meant for two-level draws, and a count of 1 leaves the second out.
    """
    if isinstance(seed, Tensor) and seed.dtype != torch.int64:
        seed = seed.to(torch.int64)
    return philox.reals((position, step, purpose, lane), seed, count)


def uniforms(
    seed: Tensor,
    step: Tensor | int,
    position: Tensor | int,
    purposes: tuple[Purpose, ...],
) -> Tensor:
    """`uniform` for P purposes at once, (P, ..., 2): one launch on a GPU."""
    axes = max(word.dim() for word in (seed, step, position) if isinstance(word, Tensor))
    purpose = _numbers(purposes, seed.device).view(-1, *[1] * axes)
    return uniform(seed, step, position, purpose)


@lru_cache(maxsize=64)
def _numbers(purposes: tuple[Purpose, ...], device: torch.device) -> Tensor:
    """(P,) int64 there, sent once, since a device halts the host to receive it."""
    with torch.inference_mode(False):
        return torch.tensor(purposes, dtype=torch.int64, device=device)


def reveal_uniform(seed: Tensor, length: int) -> Tensor:
    """(B,N) float64 from seeds (B,): one time for each position of a row, whatever the step."""
    position = torch.arange(length, device=seed.device)
    return uniform(seed[:, None], 0, position, Purpose.REVEAL, count=1)[..., 0]


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel variates from uniforms in (0, 1), same shape, float64."""
    return -torch.log(-torch.log(u))


def fold(seed: int | Tensor, index: Tensor, step: int = 0) -> Tensor:
    """Seeds for examples: index (B,) int64 -> (B,) int64 in [0, 2**63), by (seed, index, step).

    seed: one for all, or (B,) int64. Of an index, 32 bits count.
    """
    if not (isinstance(seed, Tensor) and seed.dim() == 1):
        seed = torch.tensor(check_seed(seed), dtype=torch.int64)  # type: ignore[arg-type]
    root = seed.to(index.device)
    bits = philox.words((index, step, Purpose.SEED, 1), root)
    return (bits[..., 0] << 31) | (bits[..., 1] >> 1)


def derive(seed: int, count: int) -> Tensor:
    """One seed per row from a single seed: (count,) int64 in [0, 2**63), equal for equal input.

    Row i depends on (seed, i) alone, so a larger batch extends a smaller one.
    """
    return fold(seed, torch.arange(count))


def check_seed(seed: int) -> int:
    """Return seed, or raise SeedError unless it is an integer in [0, 2**63)."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < SEED_LIMIT:
        raise SeedError(f"seed={seed!r}: pass an integer from 0 to 2**63 - 1")
    return int(seed)


def fresh_seed() -> int:
    """A seed from torch's global generator, so that torch.manual_seed reproduces the call."""
    return int(torch.randint(SEED_LIMIT - 1, (), dtype=torch.int64))
