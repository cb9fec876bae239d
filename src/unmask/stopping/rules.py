"""When a row ends before its plan does: a list of rules, any of which may end it.

Shapes: B rows, N positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unmask.core.history import ComparesSteps
from unmask.core.part import Part
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError


class Stop(Part):
    """A reason for a row to end early.

    reads_model: looks at what the model says, through `__call__`.
    forwards: network passes a row may spend. end_id: the id that ends a sequence.
    """

    reads_model: ClassVar[bool] = False
    forwards: int | None = None
    end_id: int | None = None

    def __call__(self, state: State, proposal: Proposal) -> Tensor | None:
        """Return (B,) bool: rows that commit with this step all that is left in the open group."""
        return None


@dataclass(frozen=True)
class Budget(Stop):
    """Network passes a row may spend; with the last of them all that is unknown is committed.

    Groups in a row keep a pass each in reserve: the open one is filled while there is still a step
    for each to come.
    """

    forwards: int

    def __post_init__(self) -> None:
        wrong = isinstance(self.forwards, bool) or not isinstance(self.forwards, int)
        if wrong or self.forwards < 1:
            raise StrategyError(f"Budget({self.forwards!r}): pass 1 or more network passes")


@dataclass(frozen=True)
class EndOfSequence(Stop):
    """A row ends once end_id stands with nothing unknown before it; what follows becomes it."""

    end_id: int

    def __post_init__(self) -> None:
        wrong = isinstance(self.end_id, bool) or not isinstance(self.end_id, int)
        if wrong or self.end_id < 0:
            raise StrategyError(
                f"EndOfSequence({self.end_id!r}): pass the id that ends a sequence, such as 2"
            )


@dataclass(frozen=True)
class StableAndConfident(ComparesSteps, Stop):
    """The likeliest id of every unknown position is that of the step before, mean entropy < nats.

    The stopping rule of DiffusionGemma's sampler, over the unknown positions of the open group.
    """

    nats: float = 0.05
    needs = frozenset({"entropy", "divergence", "top_token"})
    reads_model = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nats) and self.nats > 0):
            raise StrategyError(f"nats={self.nats!r}: pass an entropy above 0, such as 0.05")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,) bool."""
        assert proposal.entropy is not None
        unknown = state.within_open(state.masked)
        same = (proposal.top_token == state.carries[self.carry].ids[..., 0]) | ~unknown
        mean = proposal.entropy.masked_fill(~unknown, 0.0).sum(1) / unknown.sum(1).clamp(min=1)
        rest: Tensor = same.all(1) & (mean < self.nats)
        return rest
