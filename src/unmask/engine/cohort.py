"""A cohort: rows of one equal strategy that step together. Shapes: b rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from unmask.core.joining import NEUTRAL, common_form
from unmask.core.state import State, StepInfo
from unmask.decoding import Strategy


@dataclass(frozen=True)
class Cohort:
    """Rows of one strategy: their state, and the id of each, (b,) int64."""

    strategy: Strategy
    state: State
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Cohort | None:
        """These rows alone; None where there are none."""
        if not len(rows):
            return None
        if len(rows) == len(self):
            return self
        return Cohort(self.strategy, self.state.take(rows), self.ids[rows])

    def split(self, first: np.ndarray) -> tuple[Cohort | None, Cohort | None]:
        """The rows where `first` (b,) bool is True, and the others; None where there are none."""
        return self.take(np.flatnonzero(first)), self.take(np.flatnonzero(~first))

    def after(self, info: StepInfo) -> Cohort | None:
        """The rows that go on after a step; None where all are finished."""
        rest = np.flatnonzero(~info.state.rows.finished)
        return replace(self, state=info.state).take(rest)


def joined(cohorts: Iterable[Cohort]) -> list[Cohort]:
    """The same rows in as few cohorts as can be, in the order in which each has its first."""
    groups: list[list[Cohort]] = []
    for cohort in cohorts:
        group = next((each for each in groups if can_join(each[0], cohort)), None)
        if group is None:
            groups.append([cohort])
        else:
            group.append(cohort)
    return [_join(group) for group in groups]


def _join(group: list[Cohort]) -> Cohort:
    if len(group) == 1:
        return group[0]
    state = State.concat([cohort.state for cohort in group])
    return Cohort(group[0].strategy, state, np.concatenate([cohort.ids for cohort in group]))


def can_join(one: Cohort, other: Cohort) -> bool:
    """Whether the rows of both can step together."""
    try:
        alike = one.strategy is other.strategy or one.strategy == other.strategy
    except (RuntimeError, ValueError):  # a part holds a tensor or an array of several truth values
        return False
    return alike and _form(one.state) == _form(other.state)


def _form(state: State) -> dict[str, object]:
    """A value that joined states have in common. Tables of ids are not made for rows without."""
    return common_form(state) | {name: getattr(state, name) is None for name in NEUTRAL}
