"""The two ends of the axis: a committed position is final, or it is ranked anew at every step.

A reviser names the positions in the running. What competes and is not kept becomes unknown, so
the ranking of selection serves commits and re-masks alike and the plan counts both.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.types import State


@dataclass(frozen=True)
class Never:
    """Committed positions stay: only unknown positions compete."""

    def __call__(self, state: State) -> Tensor:
        """(B,N) bool: the positions in the running."""
        return state.masked


@dataclass(frozen=True)
class Remask:
    """Every generated position competes at every step, scored by the token it actually holds."""

    def __call__(self, state: State) -> Tensor:
        """(B,N) bool: the positions in the running."""
        return state.editable
