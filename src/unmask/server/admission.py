"""Admission: whose rows begin next. A request of many rows does not hold up others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from unmask.engine import Engine
from unmask.server.job import Job


@dataclass(eq=False)
class Ticket:
    """A job in a worker: the numbers of its rows that wait, and of those that are open by id.

    engine: that of these ids. arrived: in seconds of `time.monotonic`. answered: whether one of its
    tokens is committed.
    """

    job: Job
    waiting: deque[int]
    opened: dict[int, int] = field(default_factory=dict)
    engine: Engine | None = None
    begun: bool = False
    answered: bool = False
    arrived: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, job: Job) -> Ticket:
        """The ticket of a job that has not begun."""
        return cls(job, deque(range(len(job.lengths))))

    @property
    def tokens(self) -> int:
        """Positions of the rows that are open."""
        return sum(self.job.lengths[number] for number in self.opened.values())


def admitted(
    tickets: Iterable[Ticket], max_rows: int, max_tokens: int | None
) -> list[tuple[Ticket, list[int]]]:
    """Return the rows that may begin, in the order of tickets.

    Each place goes to the job with the fewest open rows, the first to come among equals, and waits
    for its row where that does not fit. A row that is too long for max_tokens goes alone.
    """
    every = list(tickets)
    open_rows = {id(t): len(t.opened) for t in every}
    rows, tokens = sum(open_rows.values()), sum(t.tokens for t in every)
    found: dict[int, list[int]] = {}
    left = {id(t): deque(t.waiting) for t in every}
    while rows < max_rows:
        waiting = [t for t in every if left[id(t)]]
        if not waiting:
            break
        first = min(waiting, key=lambda t: open_rows[id(t)])
        number = left[id(first)][0]
        length = first.job.lengths[number]
        if max_tokens is not None and rows and tokens + length > max_tokens:
            break
        left[id(first)].popleft()
        found.setdefault(id(first), []).append(number)
        open_rows[id(first)] += 1
        rows, tokens = rows + 1, tokens + length
    return [(t, found[id(t)]) for t in every if id(t) in found]
