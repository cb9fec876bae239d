"""Control on the host: one number a row, in numpy, so that a step need not read from a device.

Shapes: B rows, G groups, P groups that run side by side (1 otherwise), S planned steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unmask.errors import CanvasError

Array = NDArray[Any]

UNLIMITED = 2**62
"""A budget that is none, in network passes."""


@dataclass(frozen=True)
class Plan:
    """The number of positions that each step of each row leaves unknown, made before the first."""

    remaining: Array  # (B,P,S) int64: how many may still be unknown after the step
    step: Array  # (B,S) int64: s, the number of the step within its group, from 1
    steps: Array  # (B,S) int64: T, the steps of that group
    starts: Array  # (B,G) int64: the index in the plan at which each group begins
    total: Array  # (B,) int64: planned steps; the last one leaves nothing unknown
    side_by_side: bool = False  # every group runs from the first step on, by a plan of its own

    def __getitem__(self, rows: Array) -> Plan:
        """The plan of these rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _TABLES})

    @staticmethod
    def concat(plans: Sequence[Plan]) -> Plan:
        """The plans of all rows. What lies behind a row's last step repeats that step."""
        named = {
            name: _concat([getattr(plan, name) for plan in plans], edge=name in _REPEATED)
            for name in _TABLES
        }
        return Plan(**named, side_by_side=plans[0].side_by_side)


_TABLES = ("remaining", "step", "steps", "starts", "total")
_REPEATED = ("step", "steps", "starts")


class Now(NamedTuple):
    """The step being taken, one number a row, all (B,) int64 but where a comment says otherwise."""

    group_step: Array  # s, the step being taken, counted from 1 within the open group
    group_steps: Array  # T, the steps of the open group
    progress: Array  # (B,) float64: r = s/T
    remaining: Array  # (B,P): positions that the plan leaves unknown after the step
    left: Array  # the same in the open group alone; always fewer than are unknown now
    unknown_after: Array  # positions that are unknown after a step that keeps to the plan
    unknown_share: Array  # (B,) float64: share of the open group still unknown, at first 1
    open_members: Array  # positions to generate in the open group, in all where side by side
    open_start: Array  # the first of them
    open_end: Array  # the position behind the last of them, in all where side by side
    groups_to_come: Array  # groups behind the open one with positions to generate
    is_final_step: Array  # (B,) bool: the step is the last of its row, and leaves nothing unknown
    ends_group: Array  # (B,) bool: the open group must be filled, to keep a step for each to come


@dataclass(frozen=True)
class Rows:
    """One number a row, all (B,) int64 but where a comment says otherwise."""

    index: Array  # of the row in what was submitted, whatever rows have left since
    seed: Array
    step: Array  # steps taken
    forwards: Array  # network passes spent
    forwards_per_step: Array
    budget: Array  # network passes that may be spent
    length: Array  # positions before the padding, or those that are there yet of rows that grow
    unknown: Array  # positions still unknown
    open_group: Array  # the lowest group with an unknown position
    open_unknown: Array  # unknown positions of the open group, of all where side by side
    plan_index: Array  # of the next step in the plan; `step`, unless a group ended early
    rest: Array  # steps taken over full groups, which commit nothing (`revise.Edit`)
    group_rest: Array  # the same over the open group
    at_rest: Array  # (B,) bool: the open group is full, and stays open to be edited
    finished: Array  # (B,) bool
    members: Array  # (B,G): positions to generate, by group
    group_start: Array  # (B,G): the first of them
    group_end: Array  # (B,G): the position behind the last of them
    plan: Plan

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Array) -> Rows:
        """These rows alone, in this order."""
        return Rows(**{f.name: getattr(self, f.name)[rows] for f in _FIELDS})

    def put(self, rows: Array, part: Rows) -> Rows:
        """These rows replaced by those of `part`."""
        names = [f.name for f in _FIELDS if f.name not in _UNCHANGED]
        columns = {name: getattr(self, name).copy() for name in names}
        for name, column in columns.items():
            column[rows] = getattr(part, name)
        return replace(self, **columns)

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """All rows, in this order."""
        named: dict[str, Any] = {}
        for field in _FIELDS:
            values = [getattr(part, field.name) for part in parts]
            named[field.name] = Plan.concat(values) if field.name == "plan" else _concat(values)
        return Rows(**named)

    @property
    def generated_lengths(self) -> Array:
        """(B,) int64: positions before the padding, 0 where nothing is generated."""
        lengths: Array = self.length * self.members.any(1)
        return lengths

    @cached_property
    def first(self) -> Array:
        """(B,) int64: the first position to generate; the length where there is none."""
        starts: Array = np.where(self.members > 0, self.group_start, self.length[:, None]).min(1)
        return starts

    @cached_property
    def most(self) -> Array:
        """(B,) int64: positions that a row may have: `length`, or more while it grows."""
        longest: Array = np.maximum(self.length, self.first + self.members.sum(1))
        return longest

    @cached_property
    def unfinished(self) -> Array:
        """(b,) int64: rows that are not finished."""
        return np.flatnonzero(~self.finished)

    @cached_property
    def now(self) -> Now:
        """The step being taken."""
        plan, row = self.plan, np.arange(len(self.index))
        at = np.minimum(self.plan_index, plan.step.shape[1] - 1)
        steps = plan.steps[row, at]
        step = np.where(self.at_rest, steps, plan.step[row, at])
        at = np.minimum(self.plan_index, plan.remaining.shape[2] - 1)
        remaining = plan.remaining[row, :, at]
        outside = self.unknown - self.open_unknown
        # Of a row that grows, those that are there yet.
        present = np.minimum(self.members, np.maximum(self.length[:, None] - self.group_start, 0))
        if plan.side_by_side:
            members, to_come = present.sum(1), np.zeros_like(self.index)
            end = self.group_end.max(1)
        else:
            later = np.arange(present.shape[1]) > self.open_group[:, None]
            members = present[row, self.open_group]
            end = self.group_end[row, self.open_group]
            to_come = ((present > 0) & later).sum(1)
        # A group fills up at its last step, and a row at its; before, it keeps a step for each
        # group to come.
        taken = self.step - self.rest + ~self.at_rest  # with this one, unless it commits nothing
        spent = self.forwards + 2 * self.forwards_per_step  # with this step and another
        is_final = (taken >= plan.total) | (spent > self.budget)
        ends_group = is_final | (spent + self.forwards_per_step * to_come > self.budget)
        if plan.starts.shape[1] > 1 and not plan.side_by_side:
            ends_group |= (step == steps) & ~self.at_rest
        return Now(
            group_step=step,
            group_steps=steps,
            progress=step / np.maximum(steps, 1),
            remaining=remaining,
            left=np.maximum(np.minimum(remaining[:, 0], self.unknown - 1) - outside, 0),
            unknown_after=np.where(ends_group, np.where(is_final, 0, outside), remaining.sum(1)),
            unknown_share=self.open_unknown / np.maximum(members, 1),
            open_members=members,
            open_start=self.group_start[row, self.open_group],
            open_end=end,
            groups_to_come=to_come,
            is_final_step=is_final,
            ends_group=ends_group,
        )


def row_indices(rows: object, count: int) -> Array:
    """Indices of rows, or one flag for each of `count` rows -> (b,) int64. Else a CanvasError."""
    chosen = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "biu" and len(chosen)):
        raise CanvasError(
            f"rows of {chosen.dtype} {chosen.shape}: pass indices of rows, or one bool for each"
        )
    if chosen.dtype == np.bool_:
        if len(chosen) != count:
            raise CanvasError(f"{len(chosen)} flags for {count} rows: pass one bool for each row")
        return np.flatnonzero(chosen)
    if len(chosen) and not (chosen.min() >= 0 and chosen.max() < count):
        raise CanvasError(
            f"rows {chosen.tolist()} of a state of {count} rows: pass indices from 0 to {count - 1}"
        )
    return np.ascontiguousarray(chosen, np.int64)


_FIELDS = fields(Rows)
_UNCHANGED = ("plan", "members", "group_start", "group_end")  # by a step


def _concat(tables: Sequence[Array], edge: bool = False) -> Array:
    """Tables (b,...) one after the other, widened by zeros, or by their last column (edge)."""
    shape = np.max([table.shape[1:] for table in tables], axis=0).astype(int)
    wide = []
    for table in tables:
        missing = [(0, int(size) - have) for size, have in zip(shape, table.shape[1:], strict=True)]
        mode: Any = "edge" if edge else "constant"
        wide.append(np.pad(table, [(0, 0), *missing], mode=mode))
    return np.concatenate(wide)
