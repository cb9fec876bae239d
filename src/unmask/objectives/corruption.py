"""Corruption: what is hidden from the network in training, and how it is shown.

Shapes: B rows, N positions. All randomness is a function of the row seeds (B,) int64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.random import Purpose, check_seed, uniform
from unmask.core.ranking import best
from unmask.errors import DataError, StrategyError


def stratified_times(seed: Tensor, strata: int | None = None) -> Tensor:
    """(B,) float64 in (0, 1): row b falls into stratum b of `strata` (B when None), modulo strata.

    Where in its stratum is the row's own uniform. The batch then covers [0, 1) evenly, which cuts
    the variance of its loss to a fraction of that of independent times. With strata=None all are
    shifted round by one uniform of the first row, so that no row is tied to a stratum.
    """
    u = uniform(seed, 0, 0, Purpose.MASK_COUNT)
    stratum = torch.arange(len(seed), device=seed.device)
    if strata is None:
        return ((stratum + u[:, 0]) / max(len(seed), 1) + u[:1, 1]) % 1
    return (stratum % strata + u[:, 0]) / strata


def slot_times(seed: Tensor, slot: Tensor, slots: int) -> Tensor:
    """(B,) float64 in (0, 1): (slot + u)/slots, u each row's own: stratified over all slots.

    seed (B,) int64; slot (B,) int64 in [0, slots): a row's place in the batch of one optimiser
    step, counted over ranks and accumulation, so that the time is the same wherever the row runs.
    """
    return (_in_range(slot, slots) + independent_times(seed)) / slots


def offset_times(step_seed: int, slot: Tensor, slots: int) -> Tensor:
    """(B,) float64 in [0, 1): (slot/slots + u) mod 1, one u for the step (2107.00630).

    step_seed: equal on all ranks; slot, slots: as in `slot_times`.
    """
    root = torch.tensor([check_seed(step_seed)], device=slot.device)
    return (_in_range(slot, slots).double() / slots + independent_times(root)) % 1


def independent_times(seed: Tensor) -> Tensor:
    """(B,) float64 in (0, 1): each row's own uniform."""
    return uniform(seed, 0, 0, Purpose.MASK_COUNT)[:, 0]


def _in_range(slot: Tensor, slots: int) -> Tensor:
    if bool(((slot < 0) | (slot >= slots)).any()):
        raise DataError(f"slots {slot.tolist()} are not all from 0 to {slots - 1}")
    return slot


def hide(maskable: Tensor, count: Tensor, seed: Tensor) -> Tensor:
    """(B,N) bool: exactly `count` (B,) uniformly chosen maskable positions of each row."""
    position = torch.arange(maskable.shape[1], device=maskable.device)
    return best(uniform(seed[:, None], 0, position, Purpose.MASK_PLACE)[..., 0], maskable, count)


def hide_each(maskable: Tensor, probability: Tensor, seed: Tensor) -> Tensor:
    """(B,N) bool: each maskable position on its own, with its row's probability (B,)."""
    position = torch.arange(maskable.shape[1], device=maskable.device)
    u = uniform(seed[:, None], 0, position, Purpose.MASK_PLACE)[..., 0]
    return maskable & (u < probability[:, None])


@dataclass(frozen=True)
class BertNoise:
    """Of the masked positions, show some as they are and some as random ids (BERT, 1810.04805).

    For each row two fair coins decide whether either kind happens at all, as in the reference; then
    each masked position is shown as it is with probability `keep`, else as a random legal id with
    probability `replace`. The loss is then no bound on the likelihood.
    """

    keep: float = 0.15
    replace: float = 0.1

    def __post_init__(self) -> None:
        for name, share in (("keep", self.keep), ("replace", self.replace)):
            if not 0 <= share <= 1:
                raise StrategyError(f"{name}={share!r}: pass a probability in [0, 1]")

    def __call__(
        self, tokens: Tensor, shown: Tensor, masked: Tensor, seed: Tensor, legal: Tensor
    ) -> Tensor:
        """(B,N): `shown` with the noise applied where masked. legal: vector of ids to draw from."""
        position = torch.arange(tokens.shape[1], device=tokens.device)
        coins = uniform(seed, 0, 0, Purpose.CORRUPT) < 0.5
        u = uniform(seed[:, None], 1, position, Purpose.CORRUPT)
        pick = uniform(seed[:, None], 2, position, Purpose.CORRUPT)[..., 0]
        kept = masked & coins[:, :1] & (u[..., 0] < self.keep)
        replaced = masked & ~kept & coins[:, 1:] & (u[..., 1] < self.replace)
        random_ids = legal[(pick * len(legal)).long()]
        return random_ids.where(replaced, tokens.where(kept, shown))
