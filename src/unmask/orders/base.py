"""The base class of orders: a score per position, and the properties that an order declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from unmask.core.part import Part
from unmask.core.state import Change, Proposal, State
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


class Around(Order):
    """Base of orders that change the scores of another, `order`, and share its declarations."""

    order: Order

    @property
    def blind(self) -> bool:
        """Whether the inner order reads nothing of the proposal."""
        return self.order.blind

    @property
    def needs(self) -> frozenset[str]:
        """The statistics that the inner order reads."""
        return self.order.needs

    @property
    def stored(self) -> bool:
        """Whether the inner order scores committed positions from the state."""
        return self.order.stored

    @property
    def ranks_draws(self) -> bool:
        """Whether the inner order reads the token drawn."""
        return self.order.ranks_draws

    @property
    def carry(self) -> str | None:
        """The name of the inner order's history."""
        return self.order.carry

    def check_lengths(self, lengths: np.ndarray) -> None:
        """Raise StrategyError unless the inner order fits."""
        self.order.check_lengths(lengths)

    def init(self, state: State) -> Any:
        """Return the inner order's history before the first step."""
        return self.order.init(state)

    def update(self, carry: Any, state: State, proposal: Proposal, change: Change) -> Any:
        """Return the inner order's history after a step."""
        return self.order.update(carry, state, proposal, change)


@dataclass(frozen=True)
class FromFunction(Order):
    """A function (state, proposal) -> (B,N) as an order. It may read `proposal.logprob`."""

    function: Callable[[State, Proposal], Tensor]

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N)."""
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
