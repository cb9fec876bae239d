"""The base class of orders: a score per position, and the properties that an order declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from unmask.core.part import Part
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError


class Order(Part, ABC):
    """A score per position, (B,N) float: the higher, the sooner committed.

    Subclasses may override the declared properties by plain class attributes.
    """

    @property
    def blind(self) -> bool:
        """Whether the score reads nothing of the proposal.

        Positions are then chosen before the head runs, and the head runs at these positions alone.
        """
        return False

    @property
    def stored(self) -> bool:
        """Whether committed positions are scored from the state, so that the head skips them."""
        return False

    @property
    def scores(self) -> str | None:
        """The kind of score: "probability" for log-probabilities, "entropy" for −H."""
        return None

    @property
    def ranks_draws(self) -> bool:
        """Whether the score reads the token drawn (draw, then choose)."""
        return False

    def check_lengths(self, lengths: np.ndarray) -> None:
        """Raise StrategyError unless the order fits rows of these lengths.

        lengths (B,) int64: positions before the padding, 0 in rows with nothing to generate.
        """

    @abstractmethod
    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """Return the score of each position, (B,N)."""


@dataclass(frozen=True)
class FromFunction(Order):
    """A function (state, proposal) -> (B,N) as an order. It may read `proposal.logprob`."""

    function: Callable[[State, Proposal], Tensor]

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return self.function(state, proposal)


_DECLARED = ("needs", "blind", "stored", "scores", "ranks_draws", "carry", "check_lengths")


def as_order(order: object) -> Order:
    """Return an order unchanged, or a function as an order. Raises StrategyError otherwise."""
    if isinstance(order, Order):
        return order
    if isinstance(order, type) or not callable(order):
        raise StrategyError(
            f"order={order!r} is not callable: pass an instance, such as orders.Probability()"
        )
    declared = [name for name in _DECLARED if hasattr(order, name)]
    if declared:
        raise StrategyError(
            f"order={order!r} declares {', '.join(declared)} and is not an orders.Order, so the "
            "declaration would be ignored: derive its class from unmask.orders.Order"
        )
    return FromFunction(order)
