"""`Part`: the declarations of every part of a strategy, in place of optional attributes.

A part is plain data (a frozen dataclass). What it keeps from step to step is its history: a tree of
tensors (B,) or (B,N,...) that the state carries under the history's name; parts that name the same
history share it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unmask.core.state import Change, Proposal, State
from unmask.errors import StrategyError

STATISTICS = frozenset(
    {
        "kept_logprob",
        "kept_entropy",
        "kept_margin",
        "top_logprob",
        "top_token",
        "margin",
        "gap",
        "entropy",
        "sampling_entropy",
        "noised_logprob",
        "divergence",
    }
)
"""Optional fields of a `Proposal`; the divergence is in its `history`."""


class Part:
    """Base of orders, commit rules, revisers and stopping rules."""

    @property
    def carry(self) -> str | None:
        """The name of the history it keeps from step to step, None for nothing."""
        return None

    @property
    def needs(self) -> frozenset[str]:
        """The statistics of `Proposal` it reads, beyond `logprob`, which is always there."""
        return frozenset()

    @property
    def biases(self) -> bool:
        """Whether tokens are drawn from other logits than the network's, those of `biased`."""
        return False

    def biased(self, logits: Tensor, carry: Any) -> Tensor:
        """Return the logits (m,V) float32 that tokens are drawn from; the given stay as they are.

        logits: the network's at m positions, −inf at illegal ids. carry: the history there,
        (m,...). What a proposal says of the model is of the network's logits; what it says of the
        distribution drawn from (`kept_...`, `sampling_logprob`) is of these.
        """
        return logits

    def init(self, state: State) -> Any:
        """Return the history before the first step."""
        return None

    def update(self, carry: Any, state: State, proposal: Proposal, change: Change) -> Any:
        """Return the history after a step; state is that before it."""
        return carry


def check_needs(part: Part) -> None:
    """Raise StrategyError for a part that needs statistics which will not exist."""
    unknown = frozenset(part.needs) - STATISTICS
    if unknown:
        raise StrategyError(
            f"{part!r} needs {sorted(unknown)}: a proposal can carry {sorted(STATISTICS)}"
        )
    if "divergence" in part.needs and part.carry != "divergence":
        raise StrategyError(
            f"{part!r} needs the divergence from the step before, and keeps no history of it: "
            "derive its class from unmask.core.history.ComparesSteps too"
        )
