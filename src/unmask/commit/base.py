"""What a commit rule is: how many positions become known at a step, and which, given scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from unmask.commit.plans import CountPlan, NoPlan
from unmask.core.part import Part
from unmask.core.state import Proposal, State


class Commit(Part, ABC):
    """Which of the eligible positions are known after a step.

    exact_counts: commits exactly as many positions as its plan says, so that the host knows the
    counts of every step. takes_all_steps: rows take every planned step, even
    where nothing is unknown in between. adaptive: no plan, at least one position a step.
    side_by_side: can follow a plan for each group at once.
    """

    exact_counts: ClassVar[bool] = False
    takes_all_steps: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False

    @property
    def compares(self) -> str | None:
        """The kind of score its bound is compared with: "probability", "entropy"; None for none."""
        return None

    @property
    def needs_levels(self) -> bool:
        """Whether its plan is of one level at a time, so that it needs groups."""
        return False

    @property
    def counts(self) -> CountPlan:
        """The plan: how many may be unknown after each step."""
        return NoPlan()

    def count(self, where: Tensor) -> Tensor:
        """Return what the plan counts in (B,N) bool: (B,) int64, positions unless it says so."""
        return where.sum(1)

    @abstractmethod
    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        """Return (B,N) bool: the positions of `eligible` (B,N) bool that are known afterwards.

        score (B,N) float: higher = sooner, −inf where not eligible and nowhere else.
        """
