"""Comparing a step with the one before, without keeping a distribution over the whole vocabulary.

Shapes: m positions, V vocabulary, K = KEPT likeliest ids, H = LOOK_BACK steps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.selection import LOOK_BACK
from unmask.types import NEVER, Past

KEPT = 64
_LEAST = 1e-9


def nothing_past(batch: int, length: int, device: torch.device) -> Past:
    """Before the first step: no ids, and an infinite divergence."""
    shape = (batch, length, KEPT)
    return Past(
        torch.full(shape, NEVER, device=device),
        torch.zeros(shape, device=device),
        torch.full((batch, length, LOOK_BACK), torch.inf, device=device),
    )


def compared(logp: Tensor, before: Past) -> dict[str, Tensor]:
    """logp (m,V) of this step and what was kept of the last one -> what to keep of this one.

    The divergence KL(now‖before) is taken over the ids kept before and all others together: exact
    where V ≤ K, and never more than that of the whole distributions.
    """
    seen = before.ids >= 0
    now = logp.gather(1, before.ids.clamp(min=0)).masked_fill(~seen, -torch.inf)
    p, then = now.exp(), before.logprob
    terms = torch.where(p > 0, p * (now - then), 0.0)
    rest = (1 - p.sum(1)).clamp(min=_LEAST)
    rest_before = (1 - then.exp().masked_fill(~seen, 0.0).sum(1)).clamp(min=_LEAST)
    divergence = terms.sum(1) + rest * (rest / rest_before).log()
    divergence = divergence.where(seen.any(1), torch.inf).clamp(min=0.0)
    top = logp.topk(min(KEPT, logp.shape[1]), dim=1)
    legal = top.values > -torch.inf
    short = KEPT - top.values.shape[1]
    return {
        "divergence": torch.cat([divergence.unsqueeze(1), before.divergence[:, :-1]], 1),
        "likeliest": pad(top.indices.masked_fill(~legal, NEVER), (0, short), value=NEVER),
        "likeliest_logprob": pad(top.values.masked_fill(~legal, 0.0), (0, short)),
    }
