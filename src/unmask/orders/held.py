"""Orders with a special score for committed tokens: stored, weighted, noised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.checks import is_number
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.orders.base import Around, Order, as_order


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
class Weighted(Around):
    """Another order's score, times eta at committed positions (P2 2502.03540, algorithm 1).

    If scores are log-probabilities, eta > 1 makes re-masking of committed tokens likelier, and
    eta < 1 makes it less likely.
    """

    order: Order
    eta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", as_order(self.order))
        if not (is_number(self.eta) and self.eta >= 0):
            raise StrategyError(f"eta={self.eta!r}: pass a number ≥ 0, such as 1.0")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        score = self.order(state, proposal)
        if self.eta == 1:
            return score
        # −inf is the score of a token that filters drop, and 0 · −inf would be NaN.
        finite = score.clamp(min=torch.finfo(score.dtype).min) if self.eta == 0 else score
        return score.where(state.masked, finite * self.eta)


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
