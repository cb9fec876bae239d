"""A cohort: rows of one equal strategy that step together. Shapes: b rows."""

from __future__ import annotations

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

    def take(self, rows: np.ndarray) -> Cohort:
        """These rows alone."""
        if len(rows) == len(self):
            return self
        return Cohort(self.strategy, self.state.take(rows), self.ids[rows])

    def split(self, first: np.ndarray) -> tuple[Cohort, Cohort]:
        """The rows where `first` (b,) bool is True, and the others."""
        return self.take(np.flatnonzero(first)), self.take(np.flatnonzero(~first))

    def join(self, other: Cohort) -> Cohort:
        """The rows of both."""
        joined = State.concat([self.state, other.state])
        return Cohort(self.strategy, joined, np.concatenate([self.ids, other.ids]))

    def after(self, info: StepInfo) -> Cohort:
        """The rows that go on after a step."""
        rest = np.flatnonzero(~info.state.rows.finished)
        return replace(self, state=info.state).take(rest)


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
