"""The history of distributions, in a form that does not grow with the vocabulary.

Shapes: B rows, N positions, m of them, V vocabulary, K = KEPT likeliest ids, H = LOOK_BACK steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.core.part import Part
from unmask.core.state import NEVER, Change, Proposal, State

LOOK_BACK = 4
"""How many steps the history goes back."""

KEPT = 64
_LEAST = 1e-9


class History(NamedTuple):
    """The distribution at each position in the step before, and how it has changed."""

    ids: Tensor  # (B,N,K) int64: the likeliest ids of the last step, NEVER where not queried
    logprob: Tensor  # (B,N,K) float32: their log-probabilities
    divergence: Tensor  # (B,N,H) float32: nats from step to step, the latest first; inf before


def empty_history(batch: int, length: int, device: torch.device) -> History:
    """Return the history before the first step: no ids, and an infinite divergence."""
    shape = (batch, length, KEPT)
    return History(
        torch.full(shape, NEVER, device=device),
        torch.zeros(shape, device=device),
        torch.full((batch, length, LOOK_BACK), torch.inf, device=device),
    )


def compare_with_history(logp: Tensor, before: History) -> dict[str, Tensor]:
    """Compare logp (m,V) of this step with the history at m positions; return what to keep of it.

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


class ComparesSteps(Part):
    """A part that reads how the distribution at each open position changed since the last step."""

    needs = frozenset({"divergence"})
    carry = "divergence"

    def init(self, state: State) -> History:
        """Return no ids and an infinite divergence."""
        batch, length = state.tokens.shape
        return empty_history(batch, length, state.device)

    def update(self, carry: Any, state: State, proposal: Proposal, change: Change) -> History:
        """Return the history that the head's pass made."""
        history: History | None = proposal.history
        assert history is not None
        return history
