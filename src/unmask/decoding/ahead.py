"""What the host knows of the next step: who takes it, and at how many positions the head is asked.

A plan that is kept to the letter tells it of every step before the first (`Timetable`), so that a
fixed pace never waits for the device. Otherwise one transfer a step does. Shapes: B rows, S steps,
G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unmask.decoding.faults import raise_first
from unmask.decoding.strategy import Strategy
from unmask.host import on_host, per_row, waits
from unmask.ordering import is_stored
from unmask.pace import kind_of
from unmask.revision import Never, Remask
from unmask.selection import Best
from unmask.types import Plan, State


@dataclass(frozen=True)
class Timetable:
    """The steps of each row and the positions looked at in each of them."""

    total: np.ndarray  # (B,) int64
    looked: np.ndarray  # (B,S) int64
    taken: np.ndarray  # (B,) int64: steps taken

    @property
    def open(self) -> np.ndarray:
        """(B,) bool: rows with steps to come."""
        to_come: np.ndarray = self.taken < self.total
        return to_come

    def of(self, rows: np.ndarray) -> Timetable:
        """That of these rows, (B,) bool."""
        return Timetable(self.total[rows], self.looked[rows], self.taken[rows])

    def later(self) -> Timetable:
        """One step on, for the rows that are open."""
        return replace(self, taken=np.minimum(self.taken + 1, self.total))


@dataclass(frozen=True)
class Known:
    """What is known of a state's next step by `strategy`; reading it may wait, once."""

    strategy: Strategy
    deciding: tuple[object, ...]  # of the state, what decides about the step
    row: Tensor
    timetable: Timetable | None
    asked: Tensor  # (4,B) int64: done, positions looked at, fault, steps taken; (4,0) by timetable

    @cached_property
    def said(self) -> np.ndarray:
        """What was asked, on the host. Raises what went wrong before."""
        said = on_host(self.asked)
        raise_first(said[2], per_row(self.row, "value", torch.clone))
        return said

    @property
    def open(self) -> np.ndarray:
        """(B,) bool: rows that take the step."""
        return self.said[0] == 0 if self.timetable is None else self.timetable.open

    @property
    def looked(self) -> int | None:
        """At how many positions the head is asked; None where counting them costs nothing."""
        table = self.timetable
        if table is not None:
            column = np.minimum(table.taken, table.looked.shape[1] - 1)[:, None]
            return int(np.take_along_axis(table.looked, column, 1)[:, 0][self.open].sum())
        return int(self.said[1].sum()) if waits(self.row.device) else None

    @property
    def begun(self) -> bool:
        """Whether an open row has taken a step."""
        taken = self.said[3] if self.timetable is None else self.timetable.taken
        return bool((taken[self.open] > 0).any())

    @property
    def looked_for_faults(self) -> bool:
        """Whether what went wrong before has been raised: it is said together with the rest."""
        return self.timetable is None

    def about(self, state: State) -> bool:
        """Whether it is this state's step."""
        return all(a is b for a, b in zip(self.deciding, _deciding(state), strict=True))

    def of(self, state: State, rows: np.ndarray) -> Known:
        """The same about a state of these rows alone, (B,) bool."""
        table = self.timetable and self.timetable.of(rows)
        part = replace(self, deciding=_deciding(state), row=state.row, timetable=table)
        if table is None:
            part.__dict__["said"] = self.said[:, rows]  # read already: nothing is asked again
        return part

    def later(self, after: State) -> Known:
        """What is known of the step after this one."""
        table = self.timetable and self.timetable.later()
        return asking(replace(after, ahead=None), self.strategy, table)


def _deciding(state: State) -> tuple[object, ...]:
    canvas = state.masked, state.editable, state.group, state.done
    spent = state.budget, state.cost, state.forwards
    return *canvas, *spent, state.plan, state.total, state.step, state.place


def known(state: State, strategy: Strategy) -> Known:
    """What is known of the state's next step, by what it carries or else by asking."""
    ahead = state.ahead
    fits = isinstance(ahead, Known) and ahead.strategy is strategy and ahead.about(state)
    return ahead if fits else asking(state, strategy)  # type: ignore[return-value]


def asking(state: State, strategy: Strategy, timetable: Timetable | None = None) -> Known:
    """What a timetable tells, or what the device is to be asked."""
    asked = state.step.new_empty(4, 0)
    if timetable is None:
        looked = torch.zeros_like(state.step)
        if waits(state.done.device):
            where, _ = strategy.chosen(state, strategy.scope(state))
            looked = where.sum(1).masked_fill(state.done, 0)
        asked = torch.stack([state.done.long(), looked, state.fault, state.step])
    return Known(strategy, _deciding(state), state.row, timetable, asked)


def foretold(
    strategy: Strategy, plan: Plan, total: Tensor, editable: Tensor, group: Tensor
) -> Timetable | None:
    """The timetable of a plan; None where a strategy may depart from it.

    editable (B,N) bool, all of it unknown; group (N,) int64.
    """
    if not _keeps_to_plan(strategy):
        return None
    steps, left = on_host(total), on_host(plan.left.sum(1))[:, : _width(total)]
    if left.shape[1] < _width(total):
        return None
    members = torch.stack(
        [(editable & (group == g)).sum(1) for g in range(int(group.max()) + 1)], 1
    )
    counts, begins = on_host(members), on_host(plan.begins)
    if plan.side_by_side:
        counts, begins = counts.sum(1, keepdims=True), begins[:, :1]
    s = np.arange(left.shape[1])
    before = np.concatenate([counts.sum(1, keepdims=True), left[:, :-1]], 1)
    now = (begins[:, None, :] <= s[None, :, None]).sum(2) - 1  # (B,S): the open group
    ahead = np.take_along_axis(counts[:, ::-1].cumsum(1)[:, ::-1] - counts, now, 1)
    ending = np.concatenate([now[:, 1:] != now[:, :-1], np.zeros_like(now[:, :1], bool)], 1)
    running = s < steps[:, None]
    ending |= s == steps[:, None] - 1
    kept = (before > left) & (left >= ahead) & (~ending | (left == ahead))
    if not kept[running].all():  # not a plan that selection keeps to
        return None
    looked = _looked(strategy, before, left, ahead, np.take_along_axis(counts, now, 1))
    return Timetable(steps, np.where(running, looked, 0), np.zeros_like(steps))


def _width(total: Tensor) -> int:
    return max(int(total.max()) if total.numel() else 0, 1)


def _keeps_to_plan(strategy: Strategy) -> bool:
    """Whether every step commits, and looks at, as many positions as the plan says."""
    if strategy.ends or strategy.budget is not None or kind_of(strategy.pace) != "planned":
        return False
    exact = type(strategy.select) is Best and type(strategy.revise) in (Never, Remask)
    return exact and not (strategy.blind and isinstance(strategy.revise, Remask))


def _looked(
    strategy: Strategy, before: np.ndarray, left: np.ndarray, ahead: np.ndarray, whole: np.ndarray
) -> np.ndarray:
    """(B,S): positions looked at. Unknown ones before and after, those of later groups, and all."""
    looked: np.ndarray
    if strategy.blind:
        looked = before - left
        return looked
    remasking = isinstance(strategy.revise, Remask) and not is_stored(strategy.order)
    looked = whole if remasking else before - ahead
    return looked + ahead if "divergence" in strategy.needs else looked
