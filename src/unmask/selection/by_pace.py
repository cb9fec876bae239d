"""Keep the best-scored positions, exactly as many as the plan allows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.ranking import best
from unmask.types import State


@dataclass(frozen=True)
class Best:
    """Best k by pace: after the step exactly the planned number of positions is unknown."""

    def __call__(self, score: Tensor, scope: Tensor, state: State) -> Tensor:
        """score (B,N), scope (B,N) bool -> (B,N) bool: the positions that are known afterwards."""
        return best(score, scope, scope.sum(1) - state.remaining)
