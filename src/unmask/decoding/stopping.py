"""When a row stops before its plan does: everything unknown in the open group is committed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from unmask.errors import StrategyError
from unmask.types import Proposal, State


class Stop(Protocol):
    """(state, proposal) -> (B,) bool: rows that commit what is left with this step."""

    def __call__(self, state: State, proposal: Proposal) -> Tensor: ...


@dataclass(frozen=True)
class StableAndConfident:
    """The likeliest id of every unknown position is that of the step before, mean entropy < nats.

    The stopping rule of DiffusionGemma's sampler, over the unknown positions of the open group.
    """

    nats: float = 0.05
    needs = frozenset({"entropy", "divergence", "top_token"})

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nats) and self.nats > 0):
            raise StrategyError(f"nats={self.nats!r}: pass an entropy above 0, such as 0.05")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,) bool."""
        assert proposal.entropy is not None
        assert state.past is not None
        unknown = state.masked & state.open
        same = (proposal.top_token == state.past.ids[..., 0]) | ~unknown
        mean = proposal.entropy.masked_fill(~unknown, 0.0).sum(1) / unknown.sum(1).clamp(min=1)
        return same.all(1) & (mean < self.nats)
