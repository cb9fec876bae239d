"""The base class of commit rules: which positions become known at a step, given scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from unmask.commit.plans import CountPlan, NoPlan
from unmask.core.part import Part
from unmask.core.state import Proposal, State
from unmask.groups import Groups


class Commit(Part, ABC):
    """Which of the eligible positions are known after a step.

    exact_counts: the rule commits exactly the planned number of positions, so that the host knows
    the counts of every step. takes_all_steps: rows take every planned step, even if no position is
    unknown in between. adaptive: the rule has no plan and commits at least one position a step.
    side_by_side: the rule can follow a plan for each group at once. likeliest: what is committed is
    the likeliest id of a position, whatever was drawn there. grows: the rule reads no plan, no
    number of steps and no fixed place in a row, so that rows may grow (`growth`).
    """

    exact_counts: ClassVar[bool] = False
    takes_all_steps: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False
    likeliest: ClassVar[bool] = False
    grows: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """A rule with a `__call__` of its own says anew whether its counts are exact."""
        super().__init_subclass__(**options)
        if "__call__" in vars(cls) and "exact_counts" not in vars(cls):
            cls.exact_counts = False

    @property
    def compares(self) -> str | None:
        """The kind of score compared with the bound: "probability", "entropy", None if no bound."""
        return None

    def check_groups(self, groups: Groups | None) -> None:
        """Raise StrategyError unless the rule can go by these groups; None: by the whole row."""

    @property
    def count_plan(self) -> CountPlan:
        """The plan: how many may be unknown after each step."""
        return NoPlan()

    def count(self, where: Tensor) -> Tensor:
        """Return (B,) int64: the units of the plan in `where` (B,N) bool, by default positions."""
        return where.sum(1)

    @abstractmethod
    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        """Return (B,N) bool: the positions of `eligible` (B,N) bool that are known afterwards.

        score (B,N) float: higher = sooner, −inf where not eligible and nowhere else.
        """
