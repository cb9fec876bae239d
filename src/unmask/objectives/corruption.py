"""Corruption of training data: times, masked positions, and the ids shown at them.

Shapes: B rows, N positions. All randomness is a function of the row seeds (B,) int64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.checks import check_count, check_share
from unmask.core.ids import are_integers
from unmask.core.random import Purpose, check_seed, uniform
from unmask.core.ranking import best, best_of_groups
from unmask.errors import DataError, StrategyError


def stratified_times(seed: Tensor, strata: int | None = None) -> Tensor:
    """Return times (B,) float64 in (0, 1), with row b in stratum b modulo `strata` (None: B).

    The place within a stratum is drawn for each row. The batch then covers [0, 1) evenly, which
    lowers the variance of its loss to a fraction of that of independent times. With strata=None all
    times are shifted by one uniform, modulo 1, so that no row is tied to a stratum.
    """
    u = uniform(seed, 0, 0, Purpose.MASK_COUNT)
    stratum = torch.arange(len(seed), device=seed.device)
    if strata is None:
        return ((stratum + u[:, 0]) / max(len(seed), 1) + u[:1, 1]) % 1
    return (stratum % strata + u[:, 0]) / strata


def slot_times(seed: Tensor, slot: Tensor, slots: int) -> Tensor:
    """Return times (B,) float64 in (0, 1): (slot + u)/slots, with a uniform u for each row.

    seed: (B,) int64. slot: (B,) int64 in [0, slots), a row's number in the batch of one optimiser
    step, counted over ranks and accumulation steps, so that its time is the same on any rank.
    """
    return (_in_range(slot, slots) + independent_times(seed)) / slots


def offset_times(step_seed: int, slot: Tensor, slots: int) -> Tensor:
    """Return times (B,) float64 in [0, 1): (slot/slots + u) mod 1, one u a step (2107.00630).

    step_seed: equal on all ranks. slot, slots: as in `slot_times`.
    """
    place = _in_range(slot, slots).double() / slots
    root = torch.tensor([check_seed(step_seed)], device=slot.device)
    return (place + independent_times(root)) % 1


def block_times(time: Tensor, there: Tensor, seed: Tensor) -> Tensor:
    """Return times (B,G) float64 of blocks: the n of a row cover [0, 1) evenly, in a random order.

    time: (B,) in [0, 1], where in its stratum of width 1/n each block of a row is; rows whose times
    cover [0, 1) evenly then do so n times as finely. there: (B,G) bool, blocks that take part.
    """
    block = torch.arange(there.shape[1], device=there.device)
    u = uniform(seed[:, None], 1, block, Purpose.MASK_COUNT)[..., 0]
    rank = u.masked_fill(~there, 2.0).argsort(1).argsort(1)
    strata = there.sum(1, keepdim=True).clamp(min=1)
    return (rank % strata + time.double()[:, None]) / strata


def independent_times(seed: Tensor) -> Tensor:
    """Return times (B,) float64 in (0, 1): one uniform for each row, given seed (B,) int64."""
    return uniform(seed, 0, 0, Purpose.MASK_COUNT)[:, 0]


def _in_range(slot: Tensor, slots: int) -> Tensor:
    check_count("slots", slots)
    if not isinstance(slot, Tensor) or not are_integers(slot):
        raise DataError(f"slot={slot!r}: pass an int64 tensor, a number for each row")
    if bool(((slot < 0) | (slot >= slots)).any()):
        raise DataError(f"slot={slot.tolist()}: pass integers from 0 to {slots - 1}")
    return slot


def hide(maskable: Tensor, count: Tensor, seed: Tensor, block: Tensor | None = None) -> Tensor:
    """Return (B,N) bool: `count` (B,) uniformly chosen positions of maskable (B,N) in each row.

    block: (B,N) int64, the block of each position, for counts (B,G) of each of G blocks.
    """
    position = torch.arange(maskable.shape[1], device=maskable.device)
    score = uniform(seed[:, None], 0, position, Purpose.MASK_PLACE)[..., 0]
    if block is None:
        return best(score, maskable, count)
    return best_of_groups(score, maskable, count, block)


def hide_each(maskable: Tensor, probability: Tensor, seed: Tensor) -> Tensor:
    """Return (B,N) bool: each maskable position with its row's probability (B,)."""
    position = torch.arange(maskable.shape[1], device=maskable.device)
    u = uniform(seed[:, None], 0, position, Purpose.MASK_PLACE)[..., 0]
    return maskable & (u < probability[:, None])


@dataclass(frozen=True)
class BertNoise:
    """At masked positions, show some of the data's ids and some random ids (BERT, 1810.04805).

    For each row, each kind applies with probability 1/2, as in x-transformers' wrapper. Then each
    masked position shows its own id with probability `keep`, else a random legal id with
    probability `replace`. The loss is then no bound on the likelihood. Raises StrategyError for
    probabilities out of range.
    """

    keep: float = 0.15
    replace: float = 0.1

    def __post_init__(self) -> None:
        for name, share in (("keep", self.keep), ("replace", self.replace)):
            check_share(name, share)

    def __call__(
        self, tokens: Tensor, shown: Tensor, masked: Tensor, seed: Tensor, legal: Tensor
    ) -> Tensor:
        """Return shown (B,N) int64 with noise where masked. legal: int64 vector of ids to draw."""
        position = torch.arange(tokens.shape[1], device=tokens.device)
        coins = uniform(seed, 0, 0, Purpose.CORRUPT) < 0.5
        u = uniform(seed[:, None], 1, position, Purpose.CORRUPT)
        pick = uniform(seed[:, None], 2, position, Purpose.CORRUPT)[..., 0]
        kept = masked & coins[:, :1] & (u[..., 0] < self.keep)
        replaced = masked & ~kept & coins[:, 1:] & (u[..., 1] < self.replace)
        random_ids = legal[(pick * len(legal)).long()]
        return random_ids.where(replaced, tokens.where(kept, shown))


def check_noise(noise: object) -> None:
    """Raise StrategyError unless this is None, or an object that is called as `BertNoise` is."""
    if noise is not None and (isinstance(noise, type) or not callable(noise)):
        raise StrategyError(f"noise={noise!r}: pass objectives.BertNoise(), or leave it out")
