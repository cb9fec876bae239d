"""The best-scored positions, exactly as many as the plan says."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

from torch import Tensor

from unmask.commit.base import Commit
from unmask.commit.plans import CountPlan, as_plan
from unmask.core.arrays import arange
from unmask.core.ranking import best_of_groups, highest
from unmask.core.state import Proposal, State
from unmask.schedules import AnySchedule


@dataclass(frozen=True)
class TopK(Commit):
    """The k best, k by plan: after the step exactly the planned number of positions is unknown.

    `TopK("cosine", 12)` plans by a schedule; `TopK(Even(12))` or `TopK(OneAtATime())` by another
    exact plan. Raises StrategyError for a plan that gives no counts.
    """

    plan: CountPlan | AnySchedule
    steps: InitVar[int | None] = None
    exact_counts = True
    side_by_side = True

    def __post_init__(self, steps: int | None) -> None:
        object.__setattr__(self, "plan", as_plan(self.plan, steps))

    @property
    def count_plan(self) -> CountPlan:
        return as_plan(self.plan, None)

    def __call__(
        self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal | None = None
    ) -> Tensor:
        if not state.rows.plan.side_by_side:
            return highest(score, eligible.sum(1) - state.numbers["left"])
        assert state.group is not None
        groups = arange(state.remaining.shape[1], state.device)
        member = state.group.unsqueeze(2) == groups  # (B,N,P)
        competing = (eligible.unsqueeze(2) & member).sum(1)
        return best_of_groups(score, eligible, competing - state.remaining, state.group)
