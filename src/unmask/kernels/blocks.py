"""Statistics of rows, (M,), from those of the blocks of the vocabulary, (M,K).

Shapes: M rows, K blocks of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unmask.core.inversion import LOWEST, pick


@dataclass(frozen=True)
class Blocks:
    """Statistics of each block, (M,K) float32, computed by `programs.block_statistics`."""

    width: int  # W, ids in a block
    rate: Tensor  # (M,) float32: 1/temperature, 1 where greedy
    maxima: Tensor  # the largest logit, -inf where no id is legal
    sums: Tensor  # Σ exp(x − maxima)
    tempered: Tensor | None = None  # Σ exp(rate·(x − maxima)); None where every rate is 1
    mean: Tensor | None = None  # Σ (x − maxima)·exp(x − maxima)
    best: Tensor | None = None  # int32: the first id at the maximum
    second: Tensor | None = None  # the largest logit except that of `best`

    @cached_property
    def max_logit(self) -> Tensor:
        """(M,): the largest logit, -inf where no id is legal, NaN where a logit is NaN or +inf."""
        usable = ~self.sums.isnan().any(1)  # a maximum may ignore NaN, a sum does not
        return self.maxima.amax(1).where(usable, torch.nan)

    @cached_property
    def fall(self) -> Tensor:
        """(M,K): each block's maximum minus max_logit, at most 0."""
        return (self.maxima - self.max_logit.unsqueeze(1)).clamp(min=LOWEST)

    @cached_property
    def mass(self) -> Tensor:
        """(M,K) float64: mass of each block, Σ exp(x − max_logit)."""
        return self.sums.double() * self.fall.exp()

    @cached_property
    def tempered_mass(self) -> Tensor:
        """(M,K) float64: mass of each block at the row's temperature."""
        if self.tempered is None:
            return self.mass
        return self.tempered.double() * (self.fall * self.rate.unsqueeze(1)).exp()

    @cached_property
    def normaliser(self) -> Tensor:
        """(M,) float32: log-normaliser of the logits minus max_logit."""
        return self.mass.sum(1).log().float()

    @cached_property
    def tempered_normaliser(self) -> Tensor:
        """(M,) float32: log-normaliser at the row's temperature."""
        return self.normaliser if self.tempered is None else self.tempered_mass.sum(1).log().float()

    def likeliest(self) -> Tensor:
        """Return (M,) int64: the first id with max_logit."""
        assert self.best is not None
        block = self.maxima.argmax(1, keepdim=True)
        return self.best.gather(1, block).squeeze(1).long()

    def drawn(self, u: Tensor) -> Tensor:
        """Return (M,) int64: the block drawn by its mass, given uniforms u (M,) float64."""
        return pick(self.tempered_mass, u.unsqueeze(1))[0]

    def margin(self) -> Tensor:
        """Return (M,): largest probability minus the second largest; 1 if one id is legal."""
        assert self.second is not None
        second = torch.cat([self.maxima, self.second], 1).topk(2, 1).values[:, 1] - self.max_logit
        return (-self.normaliser).exp() - (second - self.normaliser).exp()

    def entropy(self) -> Tensor:
        """Return (M,): the entropy in nats."""
        assert self.mean is not None
        moment = (self.mean * self.fall.exp()).double() + self.fall * self.mass
        mean = moment.sum(1).float() * (-self.normaliser).exp()
        return (self.normaliser - mean).clamp(min=0.0)
