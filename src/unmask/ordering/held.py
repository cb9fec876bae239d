"""Orders that treat committed tokens in a way of their own: stored scores, weighted, noised."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unmask.errors import StrategyError
from unmask.ordering.protocol import Order, is_stored, needs_of
from unmask.types import Proposal, State


@dataclass(frozen=True)
class Stored:
    """Log-probability of the token drawn; of a committed one, as it was when committed.

    Mask-Predict (1904.09324, section 3.1). The head is asked at unknown positions alone.
    """

    stored = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) log-probability."""
        return proposal.logprob.where(state.masked, state.logprob)


@dataclass(frozen=True)
class Weighted:
    """Another order's score, times eta at committed positions (P2 2502.03540, algorithm 1).

    Of log-probabilities an eta above 1 makes committed tokens likelier to be re-masked, one below 1
    protects them.
    """

    order: Order
    eta: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.eta) and self.eta >= 0):
            raise StrategyError(f"eta={self.eta!r}: pass a number ≥ 0, such as 1.0")

    @property
    def needs(self) -> frozenset[str]:
        """What the order underneath needs."""
        return needs_of(self.order)

    @property
    def stored(self) -> bool:
        """Whether the order underneath scores committed positions by what the state holds."""
        return is_stored(self.order)

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N)."""
        score = self.order(state, proposal)
        return score.where(state.masked, score * self.eta)


@dataclass(frozen=True)
class Noised:
    """Log-softmax of logits + temperature·Gumbel at the token drawn or held (DPLM 2402.18567).

    The noise is that of `Draw(race=True)`, so a drawn token is the winner of its own race.
    """

    needs = frozenset({"noised_logprob"})

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) log-probability."""
        assert proposal.noised_logprob is not None
        return proposal.noised_logprob
