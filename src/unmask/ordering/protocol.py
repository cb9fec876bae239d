"""What an order is, and how its optional attributes are read."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from unmask.errors import StrategyError
from unmask.types import Proposal, State

STATISTICS = frozenset(
    {
        "kept_logprob",
        "top_logprob",
        "top_token",
        "margin",
        "entropy",
        "noised_logprob",
        "divergence",
    }
)


class Order(Protocol):
    """A score per position, (B,N) float: the higher, the sooner committed."""

    def __call__(self, state: State, proposal: Proposal) -> Tensor: ...


def needs_of(part: object) -> frozenset[str]:
    """The optional statistics of `Proposal` that an order, or another part, reads."""
    needs = frozenset(getattr(part, "needs", ()))
    if not needs <= STATISTICS:
        raise StrategyError(
            f"{part!r} needs {sorted(needs - STATISTICS)}: "
            f"a proposal can carry {sorted(STATISTICS)}"
        )
    return needs


def is_blind(order: Order) -> bool:
    """Whether the order reads nothing of the proposal, so that positions can be chosen first."""
    return bool(getattr(order, "blind", False))


def is_stored(order: Order) -> bool:
    """Whether committed positions are scored by what the state holds, so no head is asked there."""
    return bool(getattr(order, "stored", False))
