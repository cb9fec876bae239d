"""Which ids a draw may take: top-k, top-p and min-p.

A filter is a mask of ones and zeros in float32: multiplied with masses it costs a fraction of what
filling with −inf does. Shapes: M rows, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from unmask.host import waits
from unmask.sampling.two_level import NEG_INF


def kept(
    logits: Tensor,
    temperature: Tensor,
    top_k: int | float | None,
    top_p: float | None,
    min_p: float | None,
    out: Tensor,
) -> Tensor:
    """out (M,V) float32: 1 where an id may be drawn, 0 where a filter drops it.

    temperature (M,). The filters apply in this order. Nucleus and min-p are statements about the
    tempered distribution; temperature 0 keeps the best.
    """
    keep = out.fill_(1.0) if top_k is None else keep_top_k(logits, top_k, out)
    if (top_p is None or top_p == 1) and not min_p:
        return keep
    warm = dropped(logits / temperature.clamp(min=1e-6).unsqueeze(1), keep)
    if top_p is not None and top_p < 1:
        keep *= _nucleus(warm, top_p)
    if min_p:
        likely = warm.amax(1, keepdim=True) + math.log(min_p)
        keep *= torch.ge(warm, likely, out=warm)
    return keep


def dropped(logits: Tensor, keep: Tensor) -> Tensor:
    """(M,V) logits with what is not kept at -inf."""
    return logits.masked_fill(keep == 0, NEG_INF)


def keep_top_k(logits: Tensor, k: int | float, out: Tensor) -> Tensor:
    """out (M,V) float32: 1 at the k best ids of each row; of equal ones the lower ids come first.

    A float keeps that fraction, rounded up, of the ids that are legal (not at -inf) in each row.
    """
    vocab = logits.shape[1]
    if isinstance(k, int):
        count = torch.full((len(logits),), min(k, vocab), device=logits.device)
    else:
        legal = torch.gt(logits, NEG_INF, out=out).sum(1)
        # The small constant undoes rounding: 0.3 of ten ids is three, not ⌈3.0000000000000004⌉.
        count = (k * legal.double() - 1e-9).ceil().clamp(min=1).long()
    if not waits(logits.device):
        bound = _kth_largest(logits, count)
        return _at_most(logits, count, torch.ge(logits, bound, out=out))
    most = min(k, vocab) if isinstance(k, int) else max(1, math.ceil(k * vocab - 1e-9))
    ids = logits.topk(most, dim=1).indices
    ones = (torch.arange(most, device=logits.device) < count.unsqueeze(1)).to(logits.dtype)
    return out.zero_().scatter_(1, ids, ones)


def _kth_largest(values: Tensor, count: Tensor) -> Tensor:
    """(M,V), (M,) -> (M,1): the count-th largest of each row, on the CPU.

    numpy partitions on one thread several times as fast as torch selects on two.
    """
    place = (values.shape[1] - count).numpy()
    places, column = np.unique(place, return_inverse=True)
    found = np.partition(values.detach().numpy(), places, axis=1)[:, places]
    return torch.from_numpy(np.take_along_axis(found, column[:, None], 1))


def _at_most(logits: Tensor, count: Tensor, keep: Tensor) -> Tensor:
    """keep with exactly count ids a row, where ties at the bound had brought in more."""
    rows = (keep.sum(1) > count).nonzero().squeeze(1)
    if len(rows):
        order = logits[rows].argsort(dim=1, descending=True, stable=True)
        first = torch.arange(logits.shape[1]) < count[rows].unsqueeze(1)
        keep[rows] = torch.zeros_like(keep[rows]).scatter(1, order, first.to(keep.dtype))
    return keep


def _nucleus(logits: Tensor, mass: float) -> Tensor:
    """(M,V) float32: 1 in the smallest set of ids that holds at least `mass`."""
    probs, ids = logits.softmax(1).sort(dim=1, descending=True, stable=True)
    before = probs.cumsum(1) - probs
    return torch.zeros_like(probs).scatter(1, ids, (before < mass).to(probs.dtype))
