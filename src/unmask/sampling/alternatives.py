"""The likeliest ids at each position. Shapes: M rows, V vocabulary, K ids."""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.core.state import NEVER
from unmask.sampling.filters import top
from unmask.sampling.two_level import NEG_INF


def likeliest_ids(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ids (M,K) int64 of the largest logits (M,V), and these logits (M,K).

    The largest first, of equal ones the lower id. Behind the ids that are legal follow NEVER and
    -inf.
    """
    some = min(count, logits.shape[1])
    left = top(logits, some, torch.empty_like(logits)).dropping(logits)
    ids = left.topk(some, dim=1).indices.sort(1).values
    found = left.gather(1, ids).sort(dim=1, descending=True, stable=True)
    values, ids = found.values, ids.gather(1, found.indices)
    ids = ids.masked_fill(values == NEG_INF, NEVER)
    if some == count:
        return ids, values
    more = (0, count - some)
    return (
        torch.nn.functional.pad(ids, more, value=NEVER),
        torch.nn.functional.pad(values, more, value=NEG_INF),
    )
