"""Revisers: committed positions stay, compete again, are edited, or are verified.

A reviser names the eligible positions. Eligible positions that the commit rule does not keep become
unknown, so one ranking decides commits and re-masks and the plan counts both. A reviser may also
amend the step's change, after the commit rule. Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.arrays import on_host, to_device
from unmask.core.checks import check_share, is_integer
from unmask.core.part import Part
from unmask.core.ranking import best, log_beside
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.errors import StrategyError

LeaveOneOut = Callable[[Tensor], Tensor]
"""(B,N) bool -> (B,N) float32: log p(token held | the canvas with that one position masked)."""


class Revise(Part):
    """Base of revisers, which decide what happens to committed positions.

    amends: the reviser changes the step's result after the commit rule, by `amend`.
    extra_forwards: the reviser makes further network passes within a step.
    remasks: committed positions may be eligible, and become unknown if they are not kept.
    edits: `amend` may overwrite committed tokens, which a feasibility hook does not allow.
    """

    amends: ClassVar[bool] = False
    extra_forwards: ClassVar[bool] = False
    remasks: ClassVar[bool] = False
    edits: ClassVar[bool] = False

    @property
    def exact_counts(self) -> bool:
        """Whether the plan alone decides how many positions are unknown after a step."""
        return True

    @property
    def counted(self) -> bool:
        """Whether the host knows how many positions are eligible and watched.

        It knows that of the four revisers of this module alone. A class derived from one may name
        other positions, so they are counted on the device, which costs a report to the host.
        """
        return type(self) in (Never, Remask, Edit, Verify)

    @property
    def rest_passes(self) -> int:
        """The most steps a group takes once it is full, as long as each changes a token."""
        return 0

    def eligible(self, state: State) -> Tensor:
        """Return (B,N) bool: the positions that compete to be known; unknown ones by default."""
        return state.masked

    def watches(self, state: State) -> Tensor | None:
        """Return (B,N) bool: committed positions at which the head runs too; None for none."""
        return None

    def amend(
        self, change: Change, state: State, proposal: Proposal, leave_one_out: LeaveOneOut
    ) -> Change:
        """Return the step's change with this reviser's edits or re-masks."""
        return change


@dataclass(frozen=True)
class Never(Revise):
    """Committed positions stay: only unknown positions are eligible."""


@dataclass(frozen=True)
class Remask(Revise):
    """Every editable position is eligible at every step, scored by the token it holds."""

    remasks = True

    def eligible(self, state: State) -> Tensor:
        """(B,N) bool."""
        return state.editable


@dataclass(frozen=True)
class Edit(Revise):
    """A committed token is overwritten if another token is the likeliest, with p > threshold.

    LLaDA 2.1's token editing (2602.08676). Positions stay known, so the number of unknown ones
    only falls. passes: a full group takes further steps until one changes nothing, at most this
    many (16 in the authors' code).
    """

    threshold: float = 0.5
    passes: int = 0
    needs = frozenset({"top_token", "top_logprob"})
    amends = True
    edits = True

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        if not is_integer(self.passes, 0):
            raise StrategyError(f"passes={self.passes!r}: pass an integer ≥ 0, such as 16")

    @property
    def exact_counts(self) -> bool:
        """Whether a group takes no step once it is full."""
        return self.passes == 0

    @property
    def rest_passes(self) -> int:
        """The most steps that a full group takes."""
        return self.passes

    def watches(self, state: State) -> Tensor:
        """Return (B,N) bool: the committed positions of the open group, which may be edited."""
        return state.within_open(state.editable & ~state.masked)

    def amend(
        self, change: Change, state: State, proposal: Proposal, leave_one_out: LeaveOneOut
    ) -> Change:
        """Return the change with edits."""
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        other = proposal.top_token != state.tokens
        sure = proposal.top_logprob > log_beside(self.threshold, 1)
        watched = proposal.queried & (state.commit_step != NEVER)  # not what an end has filled
        return replace(change, edit=watched & other & sure)


@dataclass(frozen=True)
class Verify(Revise):
    """Committed tokens with p(token | the others) < threshold become unknown (WINO 2507.18578).

    The least likely first, and fewer than the step commits, so that every step makes progress. The
    others are the tokens of the canvas before the step. WINO computes all probabilities in one
    pass with shadow tokens and an attention mask that only its own networks take; here each
    committed position costs one pass with that position masked, which is counted as a forward.
    """

    threshold: float = 0.9
    amends = True
    exact_counts = False
    extra_forwards = True

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    def amend(
        self, change: Change, state: State, proposal: Proposal, leave_one_out: LeaveOneOut
    ) -> Change:
        """Return the change with re-masks; none in a row at its last step or near its budget."""
        committed = state.within_open(state.commit_step != NEVER)
        rows = state.rows
        counts = on_host(torch.stack([committed.sum(1), change.commit.sum(1)]))
        fewer = (counts[1] - 1).clip(min=0)
        needed = (counts[0] + 2 + rows.now.groups_to_come) * rows.forwards_per_step
        left = rows.budget - rows.forwards - needed
        # Rows in which nothing could be taken back make no passes.
        asked = (left >= 0) & ~rows.now.ends_group & (fewer > 0)
        verified = committed & to_device(asked, state.device).unsqueeze(1)
        logprob = leave_one_out(verified)
        doubtful = verified & (logprob < log_beside(self.threshold, -1))
        remask = best(-logprob, doubtful, to_device(fewer, state.device))
        forwards = asked * counts[0] * rows.forwards_per_step
        return replace(change, remask=remask, forwards=forwards)
