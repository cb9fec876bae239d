"""Order by a critic that judges the filled canvas (Token-Critic 2209.04439)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.errors import LogitsError
from unmask.inference import evaluating
from unmask.types import Critic, Proposal, State


@dataclass(frozen=True)
class CriticOrder:
    """Minus the critic's logit that a token is wrong, the canvas filled with all proposals."""

    critic: Critic

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) float32. The critic is called once a step with the (B,N) filled canvas."""
        filled = proposal.token.where(state.masked, state.tokens)
        with evaluating(self.critic):
            wrong = self.critic(filled, valid=state.valid, condition=state.condition)
        if wrong.shape == (*filled.shape, 1):
            wrong = wrong.squeeze(-1)
        if wrong.shape != filled.shape:
            raise LogitsError(
                f"the critic returned shape {tuple(wrong.shape)} for tokens of shape "
                f"{tuple(filled.shape)}: return one logit per token, (B,N) or (B,N,1)"
            )
        return -wrong.float()
