"""What the host knows of each row: one number a row, in numpy, so that no step asks the device.

Shapes: B rows, G groups, P groups that run side by side (1 otherwise), S planned steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNLIMITED = 2**62
"""A budget that is none, in network passes."""


@dataclass(frozen=True)
class Plan:
    """What each step of each row may leave unknown, made before the first."""

    remaining: Array  # (B,P,S) int64: how many may still be unknown after the step
    step: Array  # (B,S) int64: s, the number of the step within its group, from 1
    steps: Array  # (B,S) int64: T, the steps of that group
    starts: Array  # (B,G) int64: the index in the plan at which each group begins
    total: Array  # (B,) int64: planned steps; the last one leaves nothing unknown
    side_by_side: bool = False  # every group runs from the first step on, by a plan of its own

    def take(self, rows: Array) -> Plan:
        """The plan of these rows."""
        named = {name: getattr(self, name)[rows] for name in _TABLES}
        return Plan(**named, side_by_side=self.side_by_side)

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


@dataclass(frozen=True)
class Rows:
    """One number a row, all (B,) int64 but where a comment says otherwise."""

    index: Array  # of the row in what was submitted, whatever rows have left since
    seed: Array
    step: Array  # steps taken
    forwards: Array  # network passes spent
    forwards_per_step: Array
    budget: Array  # network passes that may be spent
    length: Array  # positions before the padding
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
    plan: Plan

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Array) -> Rows:
        """These rows alone, in this order."""
        named: dict[str, Any] = {f.name: _take(getattr(self, f.name), rows) for f in _FIELDS}
        return Rows(**named)

    def put(self, rows: Array, part: Rows) -> Rows:
        """These rows replaced by those of `part`."""

        def put_column(name: str) -> Any:
            old, new = getattr(self, name), getattr(part, name)
            if name in _UNCHANGED:
                return old
            out = old.copy()
            out[rows] = new
            return out

        return Rows(**{field.name: put_column(field.name) for field in _FIELDS})

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """All rows, in this order."""
        named: dict[str, Any] = {}
        for field in _FIELDS:
            values = [getattr(part, field.name) for part in parts]
            named[field.name] = Plan.concat(values) if field.name == "plan" else _concat(values)
        return Rows(**named)

    @cached_property
    def open(self) -> Array:
        """(b,) int64: rows that are not finished."""
        return np.flatnonzero(~self.finished)

    @cached_property
    def group_step(self) -> Array:
        """(B,) int64: s, the step being taken, counted from 1 within the open group."""
        return self._now(self.plan.step)

    @cached_property
    def group_steps(self) -> Array:
        """(B,) int64: T, the steps of the open group."""
        return self._now(self.plan.steps)

    @cached_property
    def progress(self) -> Array:
        """(B,) float64: r = s/T of the step being taken."""
        progress: Array = self.group_step / np.maximum(self.group_steps, 1)
        return progress

    @cached_property
    def remaining(self) -> Array:
        """(B,P) int64: how many positions the plan leaves unknown after the step being taken."""
        at = self._plan_at(self.plan.remaining.shape[2])[:, None, None]
        return np.take_along_axis(self.plan.remaining, at, 2)[:, :, 0]

    @cached_property
    def left(self) -> Array:
        """(B,) int64: positions that the plan leaves unknown in the open group, after the step.

        Always fewer than are unknown now. The plan counts those of later groups, too.
        """
        outside = self.unknown - self.open_unknown
        planned = np.minimum(self.remaining[:, 0], self.unknown - 1)
        left: Array = np.maximum(planned - outside, 0)
        return left

    @cached_property
    def unknown_share(self) -> Array:
        """(B,) float64: the share of the open group that is still unknown, 1 at its first step."""
        share: Array = self.open_unknown / np.maximum(self.open_members, 1)
        return share

    @cached_property
    def open_members(self) -> Array:
        """(B,) int64: positions to generate in the open group, in all where side by side."""
        if self.plan.side_by_side:
            members: Array = self.members.sum(1)
            return members
        return np.take_along_axis(self.members, self.open_group[:, None], 1)[:, 0]

    @cached_property
    def open_start(self) -> Array:
        """(B,) int64: the first position to generate of the open group."""
        return np.take_along_axis(self.group_start, self.open_group[:, None], 1)[:, 0]

    @cached_property
    def groups_to_come(self) -> Array:
        """(B,) int64: groups behind the open one with positions to generate."""
        if self.plan.side_by_side:
            return np.zeros_like(self.index)
        later = np.arange(self.members.shape[1]) > self.open_group[:, None]
        count: Array = ((self.members > 0) & later).sum(1)
        return count

    @cached_property
    def is_final_step(self) -> Array:
        """(B,) bool: rows whose step is the last they may take, which leaves nothing unknown."""
        spent = self.forwards + 2 * self.forwards_per_step > self.budget
        planned = self.step - self.rest + ~self.at_rest  # with this one, unless it commits nothing
        final: Array = (planned >= self.plan.total) | spent
        return final

    @cached_property
    def ends_group(self) -> Array:
        """(B,) bool: rows that must fill the open group now, to keep a step for each to come."""
        needed = (self.groups_to_come + 2) * self.forwards_per_step
        ends: Array = self.is_final_step | (self.forwards + needed > self.budget)
        return ends

    def _now(self, table: Array) -> Array:
        at = self._plan_at(table.shape[1])[:, None]
        return np.take_along_axis(table, at, 1)[:, 0]

    def _plan_at(self, width: int) -> Array:
        return np.minimum(self.plan_index, width - 1)


_FIELDS = fields(Rows)
_UNCHANGED = ("plan", "members", "group_start")  # by a step


def _take(value: Any, rows: Array) -> Any:
    return value.take(rows) if isinstance(value, Plan) else value[rows]


def _concat(tables: Sequence[Array], edge: bool = False) -> Array:
    """Tables (b,...) one after the other, widened by zeros, or by their last column (edge)."""
    shape = np.max([table.shape[1:] for table in tables], axis=0).astype(int)
    wide = []
    for table in tables:
        missing = [(0, int(size) - have) for size, have in zip(shape, table.shape[1:], strict=True)]
        mode: Any = "edge" if edge else "constant"
        wide.append(np.pad(table, [(0, 0), *missing], mode=mode))
    return np.concatenate(wide)
