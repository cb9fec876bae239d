"""The best ids of each row, down to a last one: what top-k, top-p and min-p keep alike.

From the largest logit down, and of equal ones the lower id first. Shapes: M rows, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unmask.core.arrays import arange, waits
from unmask.sampling.two_level import NEG_INF


class Best(NamedTuple):
    """The last id of each row that is kept."""

    least: Tensor  # (M,1) its logit
    last: Tensor  # (M,1) int64 the id itself, or V: all that have that logit are kept

    def holds(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Bool: whether ids are kept, from their logits (M,...)."""
        return (logits > self.least) | ((logits == self.least) & (ids <= self.last))

    def mask(self, logits: Tensor, out: Tensor) -> Tensor:
        """out (M,V): 1 where an id is kept, 0 where not."""
        ids = arange(logits.shape[1], logits.device)
        some = (self.last < logits.shape[1]).squeeze(1)  # of equal logits
        if waits(logits.device) or bool(some.all()):
            return out.copy_(self.holds(logits, ids))
        torch.ge(logits, self.least, out=out)
        cut = some.nonzero().squeeze(1)
        if len(cut):
            out[cut] = Best(*(part[cut] for part in self)).holds(logits[cut], ids).to(out.dtype)
        return out

    def dropping(self, logits: Tensor) -> Tensor:
        """(M,V) logits with what is not kept at -inf."""
        return logits.masked_fill(self.mask(logits, torch.empty_like(logits)) == 0, NEG_INF)

    def shorter(self, other: Best) -> Best:
        """The ids that both keep."""
        less = other.least > self.least
        less = less | ((other.least == self.least) & (other.last < self.last))
        return Best(*(b.where(less, a) for a, b in zip(self, other, strict=True)))


def all_of(logits: Tensor) -> Best:
    """(M,V) -> every id."""
    least = logits.new_full((len(logits), 1), NEG_INF)
    return Best(least, torch.full_like(least, logits.shape[1], dtype=torch.int64))


def first(logits: Tensor, count: Tensor, least: Tensor) -> Best:
    """The first `count` (M,) ids, of which the last has the logit `least` (M,1)."""
    equal = count.unsqueeze(1) - (logits > least).sum(1, keepdim=True)
    so_far = (logits == least).cumsum(1, dtype=torch.int32)
    return Best(least, (so_far < equal).sum(1, keepdim=True))
