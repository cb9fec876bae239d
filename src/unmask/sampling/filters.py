"""Which ids a draw may take: top-k, top-p and min-p, which all keep the best down to a last one.

From the largest logit down, and of equal ones the lower id first. Shapes: M rows, V vocabulary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import arange, waits
from unmask.core.inversion import COLD
from unmask.sampling.two_level import NEG_INF

ROUNDING = 1e-9  # undone before rounding up: 0.3 of ten ids is three, not ⌈3.0000000000000004⌉
PART_ELEMENTS = 2**16  # numpy partitions so many at once: a copy of them stays in the cache


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


def kept(
    logits: Tensor,
    temperature: float | Tensor,
    top_k: int | float | None,
    top_p: float | None,
    min_p: float | None,
    room: Tensor,
) -> Best:
    """Return the ids kept of logits (M,V), at one temperature or at (M,).

    They apply in this order. Nucleus and min-p are statements about the tempered distribution;
    temperature 0 keeps the best. room (M,V) is written to.
    """
    best = all_of(logits) if top_k is None else top(logits, top_k, room)
    if (top_p is None or top_p == 1) and not min_p:
        return best
    left = best.dropping(logits)
    tempered = left / _divisor(temperature)
    if top_p is not None and top_p < 1:
        best = best.shorter(_nucleus(left, tempered, top_p))
    if min_p:
        best = best.shorter(_likely(left, tempered, min_p))
    return best


def _divisor(temperature: float | Tensor) -> float | Tensor:
    """One number, or (M,1), above 0."""
    if isinstance(temperature, Tensor):
        return temperature.clamp(min=COLD).unsqueeze(1)
    return max(temperature, COLD)


def top(logits: Tensor, k: int | float, room: Tensor) -> Best:
    """The k best ids of each row (M,V). room (M,V) is written to.

    A float keeps that fraction, rounded up, of the ids that are legal (not at -inf) in each row.
    """
    vocab = logits.shape[1]
    if isinstance(k, int):
        most = min(k, vocab)
        count = torch.full((len(logits),), most, device=logits.device)
    else:
        most = max(1, math.ceil(k * vocab - ROUNDING))
        legal = torch.gt(logits, NEG_INF, out=room).sum(1)
        count = (k * legal.double() - ROUNDING).ceil().clamp(min=1).long()
    if not waits(logits.device):
        return _top_near(logits, count)
    least = logits.topk(most, dim=1).values.gather(1, count.unsqueeze(1) - 1)
    return first(logits, count, least)


def _top_near(logits: Tensor, count: Tensor) -> Best:
    """The first `count` (M,) ids of each row, on the CPU."""
    values, vocab = logits.detach().numpy(), logits.shape[1]
    least, tied = _at_place(values, vocab - count.numpy())
    best = Best(torch.from_numpy(least).unsqueeze(1), all_of(logits).last)
    if tied.any():
        rows = torch.from_numpy(np.flatnonzero(tied))
        best.last[rows] = first(logits[rows], count[rows], best.least[rows]).last
    return best


def _at_place(values: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,V), (M,) -> (M,) the value at that place in rising order; whether it stands below, too.

    numpy partitions on one thread several times as fast as torch selects on two, if all of a part
    are asked for one place.
    """
    found, tied = np.empty_like(values[:, 0]), np.empty(len(values), bool)
    size = max(1, PART_ELEMENTS // values.shape[1])
    for each in np.unique(place):
        rows = np.flatnonzero(place == each)
        for some in np.split(rows, range(size, len(rows), size)):
            part = values[some]
            part.partition(each, axis=1)
            found[some] = part[:, each]
            tied[some] = part[:, :each].max(1, initial=NEG_INF) == part[:, each]
    return found, tied & (found > NEG_INF)  # those at −inf have no mass


def _nucleus(logits: Tensor, tempered: Tensor, mass: float) -> Best:
    """The smallest set of ids that holds at least `mass` of softmax(tempered)."""
    falling, ids = logits.sort(dim=1, descending=True, stable=True)
    probs = tempered.softmax(1).gather(1, ids)
    # A row that is NaN or has nothing legal holds no mass; its largest logit shows it later.
    end = ((probs.cumsum(1) - probs < mass).sum(1, keepdim=True) - 1).clamp(min=0)
    return Best(falling.gather(1, end), ids.gather(1, end))


def _likely(logits: Tensor, tempered: Tensor, ratio: float) -> Best:
    """The ids at least `ratio` times as likely under softmax(tempered) as the likeliest."""
    likely = tempered >= tempered.amax(1, keepdim=True) + math.log(ratio)
    least = logits.masked_fill(~likely, torch.inf).amin(1, keepdim=True)
    return Best(least, all_of(logits).last)
