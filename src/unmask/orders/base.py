"""What an order is: a score per position, and what it declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unmask.core.part import Part
from unmask.core.state import Change, Proposal, State
from unmask.errors import StrategyError


class Order(Part, ABC):
    """A score per position, (B,N) float: the higher, the sooner committed.

    What an order declares are properties, which a class may override by plain attributes.
    """

    @property
    def blind(self) -> bool:
        """Whether it reads nothing of the proposal.

        Positions are then chosen before the head runs, and the head runs at these alone.
        """
        return False

    @property
    def stored(self) -> bool:
        """Whether it scores committed positions by what the state holds; no head is asked there."""
        return False

    @property
    def scores(self) -> str | None:
        """The kind of score: "probability" for log-probabilities, "entropy" for −H."""
        return None

    @property
    def ranks_draws(self) -> bool:
        """Whether it scores the token drawn: draw, then choose."""
        return False

    @abstractmethod
    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """Return the score of each position, (B,N)."""


class Around(Order):
    """An order that changes the scores of another, `order`, and declares what that one does."""

    order: Order

    @property
    def needs(self) -> frozenset[str]:
        """What the order underneath needs."""
        return self.order.needs

    @property
    def stored(self) -> bool:
        """Whether the order underneath scores committed positions by what the state holds."""
        return self.order.stored

    @property
    def ranks_draws(self) -> bool:
        """Whether the order underneath scores the token drawn."""
        return self.order.ranks_draws

    @property
    def carry(self) -> str | None:
        """The history of the order underneath."""
        return self.order.carry

    def init(self, state: State) -> Any:
        """Return its history before the first step."""
        return self.order.init(state)

    def update(self, carry: Any, state: State, proposal: Proposal, change: Change) -> Any:
        """Return its history after a step."""
        return self.order.update(carry, state, proposal, change)


@dataclass(frozen=True)
class FromFunction(Order):
    """A function (state, proposal) -> (B,N) as an order. It may read `proposal.logprob`."""

    function: Callable[[State, Proposal], Tensor]

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N)."""
        return self.function(state, proposal)


_DECLARED = ("needs", "blind", "stored", "scores")


def as_order(order: object) -> Order:
    """An order as it is, a function as an order. StrategyError for anything else."""
    if isinstance(order, Order):
        return order
    if isinstance(order, type) or not callable(order):
        raise StrategyError(
            f"order={order!r} is not callable: pass an instance, such as orders.Probability()"
        )
    declared = [name for name in _DECLARED if hasattr(order, name)]
    if declared:
        raise StrategyError(
            f"order={order!r} declares {', '.join(declared)} and is no orders.Order: derive its "
            "class from unmask.orders.Order, so that what it declares is heeded"
        )
    return FromFunction(order)
