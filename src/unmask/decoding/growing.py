"""Rows that grow: the part of a canvas that a row has at first, and each change of its length.

The canvas is as long as a row may become. Positions behind the length of a row are neither shown to
the network nor unknown; they hold the end id. Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from unmask.core.arrays import arange, first_true
from unmask.core.head import illegal_ids
from unmask.core.network import DenoiserSpec
from unmask.core.rows import UNLIMITED, Plan
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.decoding.canvas import Canvas
from unmask.decoding.context import ask, error_context, kind_of, named
from unmask.decoding.ending import ends
from unmask.decoding.faults import first_fault, in_extension
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.growth import Extension, Growth


def plan_without_end(rows: int, groups: int) -> Plan:
    """The plan of rows that grow: no step is the last of a group or of a row."""
    one = np.ones((rows, 1), np.int64)
    total = np.full(rows, UNLIMITED)
    return Plan(
        np.zeros((rows, 1, 1), np.int64), one, 2 * one, np.zeros((rows, groups), int), total
    )


def begin_short(state: State, growth: Growth) -> State:
    """The state before the first step, of rows that have `initial` positions to generate."""
    rows, end = state.rows, growth.end(state.spec)
    length = np.minimum(rows.first + growth.initial, rows.most)
    each = np.arange(len(rows))
    here = length - rows.group_start[each, rows.open_group]
    here = np.clip(here, 0, rows.members[each, rows.open_group])
    rows = replace(rows, length=length, unknown=length - rows.first, open_unknown=here)
    state = replace(state, rows=rows, grows=True)
    present = arange(state.tokens.shape[1], state.device) < state.length.unsqueeze(1)
    assert end is not None
    return replace(
        state,
        tokens=state.tokens.masked_fill(state.editable & ~present, end),
        masked=state.masked & present,
        editable=state.editable & present,
        valid=state.valid & present,
    )


def whole(state: State) -> tuple[Tensor, Tensor]:
    """The editable and valid positions of the canvas, (B,N) bool, whatever rows have of them."""
    if not state.grows:
        return state.editable, state.valid
    position = arange(state.tokens.shape[1], state.device)
    valid = position < state.most.unsqueeze(1)
    return valid & (position >= state.first.unsqueeze(1)), valid


def waiting(state: State, growth: Growth, proposal: Proposal) -> Tensor | None:
    """(B,) bool: rows that commit nothing at this step; None for no row."""
    what, shape = named("growth rule", growth), (len(state),)
    waits: Tensor | None = ask(
        growth.waits, state, proposal, what=what, of=state, shape=shape, optional=True
    )
    return None if waits is None else waits & ~state.numbers["ends_group"]


def grow(
    state: State, strategy: Strategy, proposal: Proposal, after: State, change: Change
) -> tuple[State, Change]:
    """Change the lengths of rows after a step; return the state, and the change where it is now.

    state: before the step. after: with its tokens and histories. Rows that have ended keep their
    length, and so do those whose budget fills the open group.
    """
    growth, still = strategy.growth, state.numbers["ends_group"]
    assert growth is not None
    if strategy.end is not None:
        still = still | ends(after, strategy.end).any(1)
    extension = ask_growth(growth, state, proposal, after)
    outside = in_extension(*extension, state)
    still = still | (outside > 0) | ((extension.masks > 0) & (state.length == state.most))
    move = _Move(state, Extension(*(each.masked_fill(still, 0) for each in extension)))
    end, blank = growth.end(state.spec), replace(after, carries={})
    assert end is not None
    carries = {
        name: tree_map(move.history, after.carries[name], part.init(blank))
        for name, part in strategy.carriers.items()
    }
    grown = replace(
        after,
        tokens=move(after.tokens, end),
        masked=(move(after.masked, False) | move.inserted) & move.present,
        editable=move.present & (move.position >= state.first.unsqueeze(1)),
        valid=move.present,
        logprob=move(after.logprob, 0.0),
        sampling_logprob=move(after.sampling_logprob, 0.0),
        commit_step=move(after.commit_step, NEVER),
        fault=first_fault(after.fault, outside),
        carries=carries,
    )
    return grown, replace(change, commit=move(change.commit, False))


class _Move:
    """Where each position of rows is after a change of their lengths."""

    def __init__(self, state: State, extension: Extension):
        length, most = state.length, state.most
        place, masks, known = extension
        self.position = arange(state.tokens.shape[1], state.device)
        more = masks.clamp(min=0).unsqueeze(1)
        behind = self.position >= place.unsqueeze(1) + more
        self.inserted = (self.position >= place.unsqueeze(1)) & ~behind
        self.present = self.position < (length + masks + known).minimum(most).unsqueeze(1)
        self.within = self.position < most.unsqueeze(1)  # what is behind is padding
        self.source = self.position.sub(more).where(behind & self.within, self.position)

    def __call__(self, grid: Tensor, fill: Any) -> Tensor:
        """Return the grid (B,N), with `fill` at positions that are new or not there."""
        new = self.inserted | (self.within & ~self.present)
        return grid.gather(1, self.source).masked_fill(new, fill)

    def history(self, leaf: Any, blank: Any) -> Any:
        """Return a history, `blank` at positions that are new or not there."""
        if not isinstance(leaf, Tensor) or leaf.dim() == 1:
            return leaf
        shape = (*self.source.shape, *(1,) * (leaf.dim() - 2))
        moved = leaf.gather(1, self.source.view(shape).expand_as(leaf))
        return moved.where((self.present & ~self.inserted).view(shape), blank)


def ask_growth(growth: Growth, state: State, proposal: Proposal, after: State) -> Extension:
    """Return what the rule says; StrategyError names the rule where it raises or says no change."""
    what = named("growth rule", growth)
    with error_context(state.rows, what, StrategyError):
        said: object = growth(state, proposal, after)
        parts = said if isinstance(said, tuple) else (said,)
        forms = [isinstance(part, Tensor) and (part.shape, part.dtype) for part in parts]
        if forms != [(state.length.shape, torch.int64)] * len(Extension._fields):
            raise StrategyError(
                f"{what} returned {', '.join(map(kind_of, parts))}: return "
                f"growth.Extension(place, masks, ends), each torch.int64 of shape ({len(state)},)"
            )
        return Extension(*parts)


def check_growth(canvas: Canvas, strategy: Strategy, spec: DenoiserSpec) -> None:
    """Raise StrategyError unless rows of this canvas can grow with this network."""
    growth = strategy.growth
    if growth is None:
        return
    rule = type(growth).__name__
    _check_canvas(canvas, rule)
    end = growth.end(spec)
    if end is None:
        raise StrategyError(
            f"{rule} goes by the id that ends a sequence, and neither it nor the network says "
            "which that is: pass end_id=, as in presets.daedal(end_id=2) or --set end_id=2"
        )
    if not 0 <= end < spec.vocab_size or end in illegal_ids(spec, strategy.constraint.forbidden):
        raise StrategyError(
            f"{rule} goes by the end id {end}, which is never drawn from this vocabulary of "
            f"{spec.vocab_size}: pass end_id=, the id that ends a sequence in its data"
        )
    told = [name for name in ("progress", "open_block") if name in spec.inputs]
    if spec.open_block_only:
        why, other = "is right in the open block only", "without a cache of blocks"
    elif told:
        why, other = f"is told {told[0]!r}", "that is told none"
    else:
        return
    raise StrategyError(
        f"{rule} changes the number of positions and reads all of them, and the network {why}: "
        f"leave growth= out, as in strategy.but(growth=None), or use a network {other}"
    )


def _check_canvas(canvas: Canvas, rule: str) -> None:
    for name in ("legal", "required"):
        if getattr(canvas, name) is not None:
            raise StrategyError(
                f"{rule} moves positions, and {name}= of the canvas is of single ones: leave one "
                "of them out"
            )
    _check_condition(canvas, rule)
    begun = canvas.editable.long().cumsum(1) > 0
    if (at := first_true(begun & canvas.valid & ~canvas.editable)) is not None:
        raise StrategyError(
            f"{rule} makes rows longer at their end, and row {at[0]} has a given token at position "
            f"{at[1]}, behind positions to generate: pass a canvas whose rows end with these, or "
            "leave growth= out, as in strategy.but(growth=None)"
        )


def _check_condition(canvas: Canvas, rule: str) -> None:
    """Raise StrategyError for a condition with a value for each position, or each pair of them."""
    width = canvas.tokens.shape[1]
    for leaf in filter(torch.is_tensor, tree_leaves(canvas.condition)):
        pairs = leaf.dim() > 2 and leaf.shape[-2:] == (width, width)
        if pairs or (leaf.dim() > 1 and leaf.shape[1] == width):
            raise StrategyError(
                f"{rule} moves positions, and the condition of shape {tuple(leaf.shape)} has a "
                f"value for each of the {width}, which would stay: leave one of them out; if its "
                f"{width} are no positions, pass a canvas of another length"
            )
