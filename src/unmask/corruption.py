"""Corruption: what is hidden from the network in training, and how it is shown.

Shapes: B rows, N positions. All randomness is a function of the row seeds (B,) int64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.errors import StrategyError
from unmask.random import Purpose, uniform
from unmask.ranking import best


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


def hide(maskable: Tensor, count: Tensor, seed: Tensor) -> Tensor:
    """(B,N) bool: exactly `count` (B,) uniformly chosen maskable positions of each row."""
    position = torch.arange(maskable.shape[1], device=maskable.device)
    return best(uniform(seed[:, None], 0, position, Purpose.MASK_PLACE)[..., 0], maskable, count)


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
