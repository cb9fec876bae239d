"""A strategy binds one member of each axis; a published method is such a binding (`presets`)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from unmask.decoding.blame import placed
from unmask.decoding.constraints import Constraint
from unmask.errors import StrategyError, nearest
from unmask.ordering import Order, is_blind, needs_of
from unmask.pace import Pace
from unmask.revision import Never
from unmask.sampling import Draw
from unmask.selection import Best
from unmask.types import Proposal, State


class Select(Protocol):
    """(score (B,N), scope (B,N) bool, state) -> (B,N) bool: what is known after the step."""

    def __call__(self, score: Tensor, scope: Tensor, state: State) -> Tensor: ...


class Revise(Protocol):
    """state -> (B,N) bool: the positions in the running; committed ones not kept become unknown."""

    def __call__(self, state: State) -> Tensor: ...


@dataclass(frozen=True)
class Strategy:
    """How positions are drawn, ranked, committed and revised. Each field is one axis."""

    pace: Pace
    order: Order
    draw: Draw = Draw()
    select: Select = Best()
    revise: Revise = Never()
    constraint: Constraint = Constraint()
    name: str = "custom"

    def __post_init__(self) -> None:
        for axis in ("pace", "order", "select", "revise"):
            part = getattr(self, axis)
            if isinstance(part, type) or not callable(part):
                raise StrategyError(
                    f"{axis}={part!r} is not callable: pass an instance, such as {_EXAMPLE[axis]}"
                )
        for axis, kind in (("draw", Draw), ("constraint", Constraint)):
            if not isinstance(getattr(self, axis), kind):
                raise StrategyError(
                    f"{axis}={getattr(self, axis)!r}: pass a {kind.__name__}, "
                    f"such as {_EXAMPLE[axis]}"
                )
        needs_of(self.order)

    def chosen(self, state: State, scope: Tensor) -> Tensor:
        """(B,N) bool: where the head must be asked, all of scope unless the order is blind.

        A blind order chooses before the network is asked, so the head runs at its choice alone.
        """
        if not is_blind(self.order):
            return scope
        return self.select(self.ranked(state, nothing_proposed(state), scope), scope, state)

    def ranked(self, state: State, proposal: Proposal, scope: Tensor) -> Tensor:
        """The order's score, -inf out of the running; StrategyError for NaN or a wrong shape."""
        with placed(state, "the order, or its critic,"):
            score = self.order(state, proposal)
            score = score if score.is_floating_point() else score.double()
        if score.shape != scope.shape:
            raise StrategyError(
                f"the order returned shape {tuple(score.shape)}: return one score per position, "
                f"{tuple(scope.shape)}"
            )
        broken = (score.isnan() & scope).nonzero()
        if len(broken):
            row, position = broken[0].tolist()
            raise StrategyError(
                f"the order scored row {int(state.row[row])}, position {position} as NaN at step "
                f"{int(state.step[row])}: return a number for every position in the running"
            )
        return score.masked_fill(~scope, float("-inf"))

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


_EXAMPLE = {
    "pace": "pace.Scheduled(schedules.cosine, steps=12)",
    "order": "ordering.Probability()",
    "select": "selection.Best()",
    "revise": "revision.Never()",
    "draw": "Draw(temperature=0.8, top_p=0.9)",
    "constraint": "Constraint(forbidden=[0])",
}
