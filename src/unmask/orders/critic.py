"""Order by a critic that judges the filled canvas (Token-Critic 2209.04439)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.core.inference import evaluating, logit_per_token
from unmask.core.network import Critic
from unmask.core.state import Proposal, State
from unmask.orders.base import Order


@dataclass(frozen=True)
class CriticOrder(Order):
    """Minus the critic's logit that a token is wrong, the canvas filled with all proposals."""

    critic: Critic
    ranks_draws = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) float32. The critic is called once a step with the (B,N) filled canvas."""
        filled = proposal.token.where(state.masked, state.tokens)
        with evaluating(self.critic):
            wrong = self.critic(filled, valid=state.valid, condition=state.condition)
        wrong = logit_per_token(wrong, filled)
        return -wrong.float()
