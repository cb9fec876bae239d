"""Committed tokens that the network doubts become unknown again (T2M 2604.18738, 2605.26436).

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unmask.core.checks import check_choice, check_count, check_share
from unmask.core.ranking import best, log_beside, number_on_grid, on_grid
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.revise.policies import LeaveOneOut, Revise

_BOUNDS = {"probability": 0.5, "rival": 0.9, "change": 0.3}


class Doubts(NamedTuple):
    """What `Doubt` remembers of each position."""

    times: Tensor  # (B,N) int64: how often it has become unknown again
    logprob: Tensor  # (B,N) float32: of its token, at the step before


@dataclass(frozen=True)
class Doubt(Revise):
    """Committed tokens of the open group that the network doubts become unknown.

    by: which are doubted. "probability": p(token) < bound (0.5). "rival": another token has
    p > bound (0.9). "change": p(token) differs by more than bound (0.3) from the step before. p is
    what the network says with the token in sight, in the pass of the step. bound=None takes the
    number in brackets, the authors'. share: of the committed tokens at most this share becomes
    unknown at a step, or one, the most doubted first. times: a position at most this often. A
    group takes at most as many steps as it has positions, the last of which takes nothing back.
    One that a step leaves full is not looked at again; the authors make up to 16 passes more.
    """

    by: Literal["probability", "rival", "change"] = "probability"
    bound: float | None = None
    share: float = 0.25
    times: int = 3
    amends = True
    exact_counts = False
    carry = "doubt"

    def __post_init__(self) -> None:
        check_choice("by", self.by, _BOUNDS)
        if self.bound is None:
            object.__setattr__(self, "bound", _BOUNDS[self.by])
        check_share("bound", self._bound)
        check_share("share", self.share)
        check_count("times", self.times)

    @property
    def _bound(self) -> float:
        assert self.bound is not None
        return self.bound

    @property
    def counted(self) -> bool:
        """Whether it is this class, whose watched positions the host can count."""
        return type(self) is Doubt

    @property
    def needs(self) -> frozenset[str]:
        """The likeliest token, where a rival is looked for."""
        return frozenset({"top_token", "top_logprob"} if self.by == "rival" else ())

    def init(self, state: State) -> Doubts:
        """Return no doubts."""
        return Doubts(torch.zeros_like(state.tokens), torch.zeros_like(state.logprob))

    def update(self, carry: Doubts, state: State, proposal: Proposal, change: Change) -> Doubts:
        """Return what became unknown, and the log-probabilities of this step."""
        times = carry.times if change.remask is None else carry.times + change.remask
        return Doubts(times, proposal.logprob.where(proposal.queried, carry.logprob))

    def watches(self, state: State) -> Tensor:
        """Return (B,N) bool: the committed positions of the open group."""
        return state.within_open(state.editable & ~state.masked)

    def amend(
        self, change: Change, state: State, proposal: Proposal, leave_one_out: LeaveOneOut
    ) -> Change:
        """Return the change with re-masks; none at the last step of a group or a row."""
        carry: Doubts = state.carries[self.carry]
        committed = state.within_open(proposal.queried & (state.commit_step != NEVER))
        score, doubted = self._doubts(carry, state, proposal)
        most = (committed.sum(1).double() * self.share).long().clamp(min=1)
        most = most.masked_fill(state.numbers["ends_group"], 0)
        doubted = doubted & committed & (carry.times < self.times)
        return Change(change.commit, best(on_grid(score), doubted, most), change.edit)

    def _doubts(self, carry: Doubts, state: State, proposal: Proposal) -> tuple[Tensor, Tensor]:
        """(B,N) float32, how doubtful each token is; (B,N) bool, which are doubted."""
        if self.by == "probability":
            return -proposal.logprob, proposal.logprob < log_beside(self._bound, -1)
        if self.by == "change":
            moved = (proposal.logprob.exp() - carry.logprob.exp()).abs()
            return moved, on_grid(moved) > number_on_grid(self._bound)
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        sure = proposal.top_logprob > log_beside(self._bound, 1)
        return proposal.top_logprob, sure & (proposal.top_token != state.tokens)
