"""Whether states can be joined, and what one lacks that another has.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unmask.core.network import Cache
from unmask.core.trees import tree_form
from unmask.errors import CanvasError, StrategyError, UnmaskError

State = Any
"""A `core.state.State`, whose module imports this one."""

NEUTRAL = {"legal": True, "required": -1, "target": -1}
"""Values without effect, for fields of a state that may be None."""


def common_form(state: State) -> dict[str, object]:
    """Return values that joined states have in common, by name."""
    return {
        "condition": None if state.condition is None else tree_form(state.condition),
        "network": state.spec,
        "device": state.device,
        "strategy": state.basis,
        "groups": state.group is not None,
        "groups side by side": state.rows.plan.side_by_side,
        "readings of a row": state.readings,
        "histories": sorted(state.carries),
    }


def check_joinable(states: Sequence[State]) -> None:
    """Raise CanvasError for conditions of several forms, StrategyError for other differences."""
    if not states:
        raise StrategyError("there is no state to join: pass one or more")
    first = common_form(states[0])
    for i, state in enumerate(states[1:], 1):
        other = common_form(state)
        for name, value in first.items():
            if value != other[name]:
                raise _differs(name, i, value, other[name])


def _differs(name: str, at: int, one: object, other: object) -> UnmaskError:
    if name == "condition":
        return CanvasError(
            f"the conditions of states 0 and {at} have the forms {one} and {other}: give all "
            "canvases conditions of one form, or step these states apart"
        )
    return StrategyError(
        f"states 0 and {at} differ in their {name} ({one!r} and {other!r}): join states of one "
        "network and one strategy, or step these apart, as Engine does"
    )


def fill_absent(states: Sequence[State]) -> list[State]:
    """The states, each with the neutral value of what another has and it lacks."""
    filled = list(states)
    for name, neutral in NEUTRAL.items():
        like = next((v for s in states if (v := getattr(s, name)) is not None), None)
        for i, state in enumerate(filled):
            if like is not None and getattr(state, name) is None:
                one = like.new_full((1,) * like.dim(), neutral)
                named = {name: one.expand(*state.tokens.shape, *like.shape[2:])}
                filled[i] = replace(state, **named)
    return filled


def concat_caches(states: Sequence[State]) -> Cache | None:
    """The caches of all rows; None where no state has one."""
    some = next((state.cache for state in states if state.cache is not None), None)
    if some is None:
        return None
    caches = [
        some.blank(len(state) * state.readings) if state.cache is None else state.cache
        for state in states
    ]
    whole: Cache = caches[0].concat(caches[1:])
    return whole
