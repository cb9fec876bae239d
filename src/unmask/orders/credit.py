"""The order of CreditDecoding: ids that were likeliest before are drawn sooner.

Shapes: B rows, N positions, m of them, V vocabulary, K = KEPT ids with credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unmask.core.checks import check_share, is_number
from unmask.core.history import KEPT
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.errors import StrategyError
from unmask.orders.base import Order


class Credits(NamedTuple):
    """The ids of each position that have credit. Others have none."""

    ids: Tensor  # (...,K) int64, NEVER where there is none
    values: Tensor  # (...,K) float32


@dataclass(frozen=True)
class Credit(Order):
    """Log-probability of the token drawn, by logits + alpha·log(1 + C) (CreditDecoding 2510.06133).

    At each step C ← beta·C at the unknown positions of the open group, and the credit of the id
    that the network finds likeliest grows by its probability to the power gamma, before it is
    added. Tokens are drawn from these logits; the record (`logprob`) is the network's. Each
    position keeps its 64 largest credits; the least of more ids has faded by beta^63.
    """

    alpha: float = 0.7
    gamma: float = 0.2
    beta: float = 0.8
    biases = True
    carry = "credit"
    needs = frozenset({"kept_logprob", "top_token", "top_logprob"})
    ranks_draws = True
    scores = "probability"

    def __post_init__(self) -> None:
        for name in ("alpha", "gamma"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise StrategyError(f"{name}={value!r}: pass a number of 0 or more, such as 0.5")
        check_share("beta", self.beta)

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        assert proposal.kept_logprob is not None
        return proposal.kept_logprob

    def init(self, state: State) -> Credits:
        """Return no credit."""
        shape = (*state.tokens.shape, KEPT)
        ids = torch.full(shape, NEVER, device=state.device)
        return Credits(ids, torch.zeros(shape, device=state.device))

    def biased(self, logits: Tensor, carry: Credits) -> Tensor:
        """Return logits + alpha·log(1 + C), with the credit that this step adds."""
        top = logits.max(1)
        probability = top.values - logits.logsumexp(1)
        now = self._grown(carry, top.indices, probability)
        bonus = self.alpha * now.values.log1p().masked_fill(now.ids == NEVER, 0.0)
        return logits.scatter_add(1, now.ids.clamp(min=0), bonus)

    def update(self, carry: Credits, state: State, proposal: Proposal, change: Change) -> Credits:
        """Return the credits with those of this step, where a token was proposed."""
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        now = self._grown(carry, proposal.top_token, proposal.top_logprob)
        open_ = (proposal.queried & state.masked).unsqueeze(-1)
        return Credits(*(new.where(open_, old) for new, old in zip(now, carry, strict=True)))

    def _grown(self, carry: Credits, token: Tensor, logprob: Tensor) -> Credits:
        """Credits (...,K) a step later, the likeliest ids (...) and their log-probabilities."""
        values = self.beta * carry.values
        same = carry.ids == token.unsqueeze(-1)
        # An id without credit takes the place of the least.
        least = torch.zeros_like(same).scatter(-1, values.argmin(-1, keepdim=True), True)
        place = torch.where(same.any(-1, keepdim=True), same, least)
        earned = (self.gamma * logprob).exp().unsqueeze(-1)
        return Credits(
            token.unsqueeze(-1).where(place, carry.ids),
            torch.where(place, earned + values.masked_fill(~same, 0.0), values),
        )
