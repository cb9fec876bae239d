"""Orders of tokens drawn, or held at committed positions: stored, noised, judged by a critic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.core.inference import evaluating, is_out_of_memory, logit_per_token
from unmask.core.network import Critic
from unmask.core.state import Proposal, State
from unmask.errors import DenoiserError, UnmaskError
from unmask.orders.base import Order


@dataclass(frozen=True)
class Stored(Order):
    """Log-probability of the token drawn; at committed positions, the one stored when committed.

    Mask-Predict (1904.09324, section 3.1). The head runs at unknown positions alone.
    """

    stored = True
    ranks_draws = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return proposal.logprob.where(state.masked, state.logprob)


@dataclass(frozen=True)
class Noised(Order):
    """Log-softmax of logits + temperature·Gumbel at the token drawn or held (DPLM 2402.18567).

    The noise is that of `Sampling(gumbel=True)`, so a drawn token has the largest noised logit.
    """

    needs = frozenset({"noised_logprob"})
    ranks_draws = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        assert proposal.noised_logprob is not None
        return proposal.noised_logprob


@dataclass(frozen=True)
class CriticOrder(Order):
    """Minus a critic's logit that a token is wrong (Token-Critic 2209.04439).

    The critic is called with the canvas in which every unknown position holds the token drawn.
    """

    critic: Critic
    ranks_draws = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """Return (B,N) float32. Calls the critic once, with the filled canvas (B,N) int64."""
        filled = proposal.token.where(state.masked, state.tokens)
        with evaluating(self.critic):
            wrong = self._judge(filled, state)
        wrong = logit_per_token(wrong, filled)
        return -wrong.float()

    def _judge(self, filled: Tensor, state: State) -> Tensor:
        """The critic's answer. What it raises is an error of a network, and not of the order."""
        try:
            return self.critic(filled, valid=state.valid, condition=state.condition)
        except UnmaskError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise DenoiserError(f"the critic raised {type(error).__name__}: {error}") from error
