"""A job whose steps, records and end go into a mailbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from unmask.core.generation import Generation
from unmask.engine import Begun, Engine, adopted
from unmask.server.job import Array, Job, Step
from unmask.server.mailbox import Mailbox

WAITING = 2**20
"""Positions of steps that may wait for a slow reader; the steps of a row beyond are joined."""


class Rows(Protocol):
    """Rows of a request, such as a `TextRequest`."""

    @property
    def lengths(self) -> Sequence[int]:
        """Positions of each."""

    def begin(self, numbers: Sequence[int]) -> list[Begun]:
        """Return some before their first step. Raises what `init` raises."""


@dataclass(frozen=True)
class Finished:
    """A row that is finished, and its record (1,n)."""

    number: int
    record: Generation


@dataclass(frozen=True)
class Ended:
    """Nothing follows."""

    error: Exception | None


class PostingJob(Job):
    """Rows of a request; `mail` has a Step or Finished at a time, and at last Ended.

    begun: some of the rows, one in each.
    Where it is read more slowly than rows are generated, several steps of a row become one.
    """

    def __init__(
        self,
        rows: Rows,
        begun: Iterable[Begun] = (),
        *,
        watched: bool = False,
        deadline: float = float("inf"),
    ):
        self.rows, self.watched, self.deadline = rows, watched, deadline
        self.lengths = rows.lengths
        self.mail: Mailbox[Step | Finished | Ended] = Mailbox()
        self._begun = {part.numbers[0]: part for part in begun}

    def submit(self, engine: Engine, numbers: Sequence[int]) -> Array:
        """Hand these rows to the engine."""
        others = self.rows.begin([number for number in numbers if number not in self._begun])
        ready = [self._begun.pop(number) for number in numbers if number in self._begun]
        return adopted(engine, [*ready, *others], numbers)

    def step(self, step: Step) -> None:
        """Post a step."""

        def join(other: Step | Finished | Ended) -> Step | None:
            if isinstance(other, Step) and other.number == step.number:
                return step.behind(other)
            return None

        full = len(self.mail) * len(step.tokens) >= WAITING
        self.mail.put(step, join if full else None)

    def row(self, number: int, found: Generation) -> None:
        """Post a record."""
        self.mail.put(Finished(number, found))

    def end(self, error: Exception | None) -> None:
        """Post the end."""
        self.mail.put(Ended(error))
