"""A group committed as a whole, after steps that commit nothing. Shapes: B rows, N positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.commit.base import Commit
from unmask.commit.plans import AllSteps, CountPlan
from unmask.core.state import Proposal, State


@dataclass(frozen=True)
class AtOnce(Commit):
    """Nothing until the last of `steps` steps of a group, then all of it, the likeliest ids.

    What changes between steps is what the network is shown (DiffusionGemma): use it with
    `noise.Accepted`. A stopping rule may end the group sooner.
    """

    steps: int = 48
    likeliest = True
    needs = frozenset({"top_token", "top_logprob"})

    def __post_init__(self) -> None:
        AllSteps(self.steps)

    @property
    def count_plan(self) -> CountPlan:
        return AllSteps(self.steps)

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        return torch.zeros_like(eligible)
