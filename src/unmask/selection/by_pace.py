"""Keep the best-scored positions, exactly as many as the plan allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.ranking import best, best_of_groups
from unmask.types import Proposal, State


@dataclass(frozen=True)
class Best:
    """Best k by pace: after the step exactly the planned number of positions is unknown."""

    pace = "planned"

    def __call__(
        self, score: Tensor, scope: Tensor, state: State, proposal: Proposal | None = None
    ) -> Tensor:
        """score (B,N), scope (B,N) bool -> (B,N) bool: the positions that are known afterwards."""
        if state.remaining.shape[1] > 1:
            member = state.group.unsqueeze(2) == _groups(state)  # (B,N,P)
            competing = (scope.unsqueeze(2) & member).sum(1)
            return best_of_groups(score, scope, competing - state.remaining, state.group)
        return best(score, scope, scope.sum(1) - left_in(scope, state, positions))


def _groups(state: State) -> Tensor:
    return torch.arange(state.remaining.shape[1], device=state.group.device)


def positions(where: Tensor) -> Tensor:
    """(B,N) bool -> (B,): how many."""
    return where.sum(1)


def left_in(scope: Tensor, state: State, count: Callable[[Tensor], Tensor]) -> Tensor:
    """(B,): what the plan leaves unknown of scope, always fewer than are unknown now.

    Groups that are not open keep all their unknown positions, which the plan counts too.
    """
    outside = count(state.masked & ~scope)
    now = count(state.masked)
    return torch.minimum(state.remaining[:, 0], now - 1).sub(outside).clamp(min=0)
