"""What happens to committed positions: they stay, compete again, are edited, or are verified.

A reviser names the positions in the running (scope). What competes and is not kept becomes unknown,
so the ranking of selection serves commits and re-masks alike and the plan counts both. A reviser
that also has `amend` acts once more, after selection. Shapes: B rows, N positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from unmask.checks import check_share
from unmask.ranking import best
from unmask.types import Change, Proposal, State

GivenTheRest = Callable[[Tensor], Tensor]
"""(B,N) bool -> (B,N) float32: log p(token held | the canvas with that one position masked)."""


@runtime_checkable
class Amends(Protocol):
    """A reviser that acts after selection, on what it `watches` beside the scope."""

    def watches(self, state: State) -> Tensor:
        """(B,N) bool: committed positions at which the head is asked too."""
        ...

    def amend(
        self, change: Change, state: State, proposal: Proposal, given_the_rest: GivenTheRest
    ) -> Change:
        """The step's change with what this reviser adds."""
        ...


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


@dataclass(frozen=True)
class Edit:
    """A committed token is overwritten where another is the likeliest, with p > threshold.

    LLaDA 2.1's token editing. Positions stay known, so the number of unknown ones only falls.
    """

    threshold: float = 0.5
    needs = frozenset({"top_token", "top_logprob"})

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    def __call__(self, state: State) -> Tensor:
        """(B,N) bool: the positions in the running, unknown ones."""
        return state.masked

    def watches(self, state: State) -> Tensor:
        """(B,N) bool: what may be edited."""
        return state.editable & ~state.masked & state.open

    def amend(
        self, change: Change, state: State, proposal: Proposal, given_the_rest: GivenTheRest
    ) -> Change:
        """The change, with edits."""
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        other = proposal.top_token != state.tokens
        sure = proposal.top_logprob > math.log(max(self.threshold, 1e-300))
        return replace(change, edit=self.watches(state) & other & sure)


@dataclass(frozen=True)
class Verify:
    """Committed tokens with p(token | the rest) < threshold become unknown (WINO 2507.18578).

    The worst first, and fewer than were just committed, so that every step gets on. The rest is the
    canvas before the step. WINO's shadow tokens ask for all in one pass through an attention mask
    that only its own networks take; here each is a pass of its own with that position masked, and
    is counted as one.
    """

    threshold: float = 0.9

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    def __call__(self, state: State) -> Tensor:
        """(B,N) bool: the positions in the running, unknown ones."""
        return state.masked

    def watches(self, state: State) -> Tensor:
        """Nothing: the head is asked in passes of their own."""
        return torch.zeros_like(state.masked)

    def amend(
        self, change: Change, state: State, proposal: Proposal, given_the_rest: GivenTheRest
    ) -> Change:
        """The change, with re-masks; none in rows at their last step or too near their budget."""
        committed = state.editable & ~state.masked & state.open
        asked = committed.sum(1) * state.cost
        affordable = state.forwards + asked + 2 * state.cost <= state.budget
        fewer = (change.commit.sum(1) - 1).clamp(min=0)
        # Where nothing could be taken back, nothing is asked.
        verified = committed & (affordable & ~state.last & (fewer > 0)).unsqueeze(1)
        logprob = given_the_rest(verified)
        doubtful = verified & (logprob < math.log(max(self.threshold, 1e-300)))
        remask = best(-logprob, doubtful, fewer)
        return replace(change, remask=remask, forwards=verified.sum(1) * state.cost)
