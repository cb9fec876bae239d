"""Stateless randomness: a uniform is a pure function of (row seed, step, position, purpose).

Philox4x32-10 (Salmon et al., SC 2011) in integer arithmetic, so that numpy, CPU and GPU agree bit
for bit and no generator state exists to be shared, forgotten or advanced by a neighbour in the
batch. One call yields four 32-bit words, that is two 48-bit uniforms.
"""

from __future__ import annotations

from enum import IntEnum
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.errors import SeedError

SEED_LIMIT = 2**63
_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
FEW = 2**15  # words that numpy handles faster than torch

Word = Tensor | int
Four = tuple[Any, Any, Any, Any]  # words: tensors, numpy arrays or integers


class Purpose(IntEnum):
    """What a uniform is for; two purposes never share one."""

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


def _multiply(constant: int, word: Any) -> tuple[Any, Any]:
    """(high, low) 32-bit halves of constant × word, without leaving 63 bits.

    The constants lie above 2**31; less 2**32 they are multiplied without overflow.
    """
    product = (constant - 2**32) * word
    return (product >> 32) + word, product & _WORD


def philox(counter: tuple[Word, Word, Word, Word], key: tuple[Tensor, Tensor]) -> Tensor:
    """Philox4x32-10. Every word is int64 holding 32 bits; words broadcast. Returns (..., 4).

    Words that are the same everywhere may be plain integers.
    """
    words = (*counter, *key)
    if not _few(words):
        return torch.stack(torch.broadcast_tensors(*_rounds(*words)), dim=-1)
    arrays = (word.numpy() if isinstance(word, Tensor) else word for word in words)
    return torch.from_numpy(np.stack(np.broadcast_arrays(*_rounds(*arrays)), axis=-1))


def _few(words: tuple[Word, ...]) -> bool:
    """Whether numpy does it faster: few words at hand, 160 small operations."""
    tensors = [word for word in words if isinstance(word, Tensor)]
    at_hand = all(type(word) is Tensor and word.device.type == "cpu" for word in tensors)
    return at_hand and torch.broadcast_shapes(*(t.shape for t in tensors)).numel() <= FEW


def _rounds(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Four:
    """Counter and key -> the four words of the result, of what they are: arrays or tensors."""
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(_MULTIPLIERS[0], c0)
        high1, low1 = _multiply(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3


def uniform(
    seed: Tensor,
    step: Tensor | int,
    position: Tensor | int,
    purpose: Purpose | int,
    lane: Tensor | int = 0,
) -> Tensor:
    """Two independent uniforms in the open interval (0, 1) for each broadcast element.

    seed, step, position and lane are int64 and broadcast against each other; seed is in [0, 2**63).
    lane tells apart what one position needs many of, such as noise for every id.
    Returns float64 of shape (..., 2): the first axis of length two is meant for two-level draws.
    """
    if isinstance(seed, np.ndarray):
        seed = torch.from_numpy(seed)
    seed = seed.to(torch.int64)
    step = torch.from_numpy(step) if isinstance(step, np.ndarray) else step
    position = torch.from_numpy(position) if isinstance(position, np.ndarray) else position
    counter = (position & _WORD, step & _WORD, int(purpose), lane & _WORD)
    bits = philox(counter, (seed & _WORD, seed >> 32))
    high, low = bits[..., 0::2], bits[..., 1::2] >> 16
    return (((high << 16) | low).to(torch.float64) + 0.5) * 2.0**-48


def reveal_uniform(seed: Tensor, length: int) -> Tensor:
    """(B,N) float64 from seeds (B,): one time for each position of a row, whatever the step."""
    position = torch.arange(length, device=seed.device)
    return uniform(seed[:, None], 0, position, Purpose.REVEAL)[..., 0]


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
    counter = (index & _WORD, step & _WORD, int(Purpose.SEED), 1)
    bits = philox(counter, (root & _WORD, root >> 32))
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
