"""A strategy binds one member of each axis; a published method is such a binding (`presets`)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from unmask.decoding.blame import placed
from unmask.decoding.constraints import Constraint
from unmask.decoding.contradictions import check_together
from unmask.decoding.faults import in_scores
from unmask.decoding.guidance import Guidance
from unmask.decoding.stopping import Stop
from unmask.decoding.veil import MaskId, Veil
from unmask.errors import StrategyError, nearest
from unmask.grouping import Groups
from unmask.ordering import Order, is_blind, is_stored, needs_of
from unmask.pace import Pace
from unmask.revision import Amends, GivenTheRest, Never
from unmask.sampling import Draw
from unmask.selection import Best
from unmask.types import Change, Denoiser, Proposal, State


class Select(Protocol):
    """(score (B,N), scope (B,N) bool, state, proposal) -> (B,N) bool: what is known afterwards."""

    def __call__(
        self, score: Tensor, scope: Tensor, state: State, proposal: Proposal
    ) -> Tensor: ...


class Revise(Protocol):
    """state -> (B,N) bool: the positions in the running; committed ones not kept become unknown."""

    def __call__(self, state: State) -> Tensor: ...


class Choice(NamedTuple):
    """What an order and a selection say."""

    score: Tensor  # (B,N) float: higher = known sooner; -inf out of the running
    keep: Tensor  # (B,N) bool: known after the step
    fault: Tensor | None  # (B,) int64, of scores that are NaN


@dataclass(frozen=True)
class Strategy:
    """How positions are drawn, ranked, committed and revised. Each field is one axis.

    budget: network passes a row may spend; at the last of them all that is unknown is committed.
    end_id: a row ends once this id stands with nothing unknown before it; what follows becomes it.
    """

    pace: Pace
    order: Order
    draw: Draw = Draw()
    select: Select = Best()
    revise: Revise = Never()
    constraint: Constraint = Constraint()
    groups: Groups | None = None
    veil: Veil = MaskId()
    guidance: Guidance | None = None
    stop: Stop | None = None
    budget: int | None = None
    end_id: int | None = None
    name: str = "custom"

    def __post_init__(self) -> None:
        for axis in ("pace", "order", "select", "revise", "veil"):
            part = getattr(self, axis)
            if isinstance(part, type) or not callable(part):
                raise StrategyError(
                    f"{axis}={part!r} is not callable: pass an instance, such as {_EXAMPLE[axis]}"
                )
        for axis, kind in _KINDS.items():
            if not isinstance(getattr(self, axis), kind):
                raise StrategyError(
                    f"{axis}={getattr(self, axis)!r}: pass a {_name(kind)}, "
                    f"such as {_EXAMPLE[axis]}"
                )
        if isinstance(self.stop, type) or not (self.stop is None or callable(self.stop)):
            raise StrategyError(f"stop={self.stop!r}: pass an instance, such as {_EXAMPLE['stop']}")
        if self.budget is not None and (self.budget is True or self.budget < 1):
            raise StrategyError(f"budget={self.budget}: pass 1 or more network passes, or None")
        check_together(self)

    @property
    def needs(self) -> frozenset[str]:
        """The optional statistics of `Proposal` that some part reads."""
        parts = (self.order, self.select, self.revise, self.stop)
        return frozenset().union(*(needs_of(part) for part in parts))

    @property
    def blind(self) -> bool:
        """Whether positions are chosen before the network is asked."""
        looks = needs_of(self.select) or self.stop is not None or isinstance(self.revise, Amends)
        return is_blind(self.order) and not looks

    @property
    def ends(self) -> bool:
        """Whether a row may end before its plan does."""
        return self.stop is not None or self.end_id is not None

    def guided(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser, or its guided form."""
        return denoiser if self.guidance is None else self.guidance.wrap(denoiser)

    def scope(self, state: State) -> Tensor:
        """(B,N) bool: the positions in the running. At a row's last step, all that is unknown."""
        running = self.revise(state) & state.open
        return torch.where(state.last.unsqueeze(1), running | state.masked, running)

    def chosen(self, state: State, scope: Tensor) -> tuple[Tensor, Choice | None]:
        """(B,N) bool: where the head must be asked, all of scope unless the order is blind.

        A blind order chooses before the network is asked, so the head runs at its choice alone,
        which comes along.
        """
        if self.blind:
            choice = self.choice(state, nothing_proposed(state), scope)
            return choice.keep & state.masked, choice
        looked = scope & state.masked if is_stored(self.order) else scope
        if "divergence" in self.needs:  # of groups that are still to come, too
            looked = looked | state.masked
        if isinstance(self.revise, Amends):
            looked = looked | self.revise.watches(state)
        return looked, None

    def choice(self, state: State, proposal: Proposal, scope: Tensor) -> Choice:
        """How all positions score, and which of scope are known afterwards."""
        score = self.ranked(state, proposal, scope)
        fault = in_scores(score, scope, state)
        return Choice(score, self.selected(score, scope, state, proposal), fault)

    def ranked(self, state: State, proposal: Proposal, scope: Tensor) -> Tensor:
        """The order's score, -inf out of the running; StrategyError for a wrong shape."""
        with placed(state, "the order, or its critic,"):
            score = self.order(state, proposal)
            score = score if score.is_floating_point() else score.double()
        if score.shape != scope.shape:
            raise StrategyError(
                f"the order returned shape {tuple(score.shape)}: return one score per position, "
                f"{tuple(scope.shape)}"
            )
        return score.masked_fill(~scope, float("-inf"))

    def selected(self, score: Tensor, scope: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,N) bool: what of scope is known afterwards; all of it where a row must or may stop."""
        keep = self.select(score, scope, state, proposal)
        over = state.last if self.stop is None else state.last | self.stop(state, proposal)
        return (keep | over.unsqueeze(1)) & scope

    def changed(
        self,
        state: State,
        proposal: Proposal,
        scope: Tensor,
        keep: Tensor,
        given_the_rest: GivenTheRest,
    ) -> Change:
        """What becomes known, unknown or another token."""
        none = torch.zeros_like(scope)
        change = Change(
            commit=keep & state.masked,
            remask=scope & ~keep & ~state.masked,
            edit=none,
            forwards=torch.zeros_like(state.forwards),
        )
        if not isinstance(self.revise, Amends):
            return change
        return self.revise.amend(change, state, proposal, given_the_rest)

    def but(self, **parts: Any) -> Strategy:
        """The same strategy with parts replaced: `presets.maskgit().but(draw=Draw(top_p=.9))`."""
        known = [field.name for field in fields(self)]
        for name in parts:
            if name not in known:
                raise StrategyError(f"a strategy has no part {name!r}: {nearest(name, known)}")
        return replace(self, **parts)


def nothing_proposed(state: State) -> Proposal:
    """What a blind order is given."""
    nowhere = torch.zeros_like(state.masked)
    return Proposal(nowhere, state.tokens, state.logprob, state.drawn_logprob)


def _name(kind: Any) -> str:
    return str(kind.__name__ if isinstance(kind, type) else kind[0].__name__)


_NONE = type(None)
_KINDS: dict[str, Any] = {
    "draw": Draw,
    "constraint": Constraint,
    "groups": (Groups, _NONE),
    "guidance": (Guidance, _NONE),
    "budget": (int, _NONE),
    "end_id": (int, _NONE),
}
_EXAMPLE = {
    "pace": "pace.Scheduled(schedules.cosine, steps=12)",
    "order": "ordering.Probability()",
    "select": "selection.Best()",
    "revise": "revision.Never()",
    "veil": "veil.MaskId()",
    "draw": "Draw(temperature=0.8, top_p=0.9)",
    "constraint": "Constraint(forbidden=[0])",
    "groups": "Groups.blocks(32)",
    "guidance": "Guidance(weight=3.0)",
    "stop": "StableAndConfident(0.05)",
    "budget": "budget=64",
    "end_id": "end_id=2",
}
