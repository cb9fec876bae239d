"""The worker: an engine on a thread of its own, and the jobs whose rows it generates."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from unmask.core.inference import is_out_of_memory
from unmask.core.network import Denoiser
from unmask.engine import Engine, Event
from unmask.errors import UnmaskError
from unmask.server.admission import Ticket, admitted
from unmask.server.failures import ENDED, LATE, Cancelled, Closing, Expired, QueueFull, let_go
from unmask.server.job import Job, steps_of
from unmask.server.meter import Meter, measure
from unmask.server.turns import Turns

log = logging.getLogger("unmask.server")

MAX_ROWS = 64
CALM = 64
"""Steps after which twice as many rows are tried again, where memory ran out before."""
PATIENCE = 5.0
"""Seconds that the end of a worker waits for a pass of the network."""


@dataclass(frozen=True)
class Load:
    """What a worker has to do: jobs that wait and that have begun, and what is open."""

    waiting: int
    begun: int
    rows: int
    tokens: int


class Worker:
    """Generates the rows of jobs on a thread, all rows that are open in shared passes.

    max_rows, max_tokens: as of `Engine`. max_queue: jobs that may wait to begin. turns: held during
    each step. A fault ends the jobs whose rows it is about, and no others.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        max_rows: int = MAX_ROWS,
        max_tokens: int | None = None,
        max_queue: int = 256,
        turns: Turns | None = None,
        meter: Meter | None = None,
        name: str = "worker",
    ):
        self.denoiser, self.turns, self.meter = denoiser, turns or Turns(), meter
        self.max_rows, self.max_tokens, self.max_queue = max_rows, max_tokens, max_queue
        self._engine = self._fresh()
        self._calm = 0  # steps since memory ran out
        self._tickets: list[Ticket] = []
        self._changed = threading.Condition()
        self._inbox: deque[Callable[[], None]] = deque()
        self._accepted = 0  # jobs that are not ended, those in the inbox included
        self._begun = 0
        self._opened = (0, 0)  # rows and positions
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"unmask-{name}", daemon=True)
        self._thread.start()

    # From any thread.

    def submit(self, job: Job) -> None:
        """Take a job on. Raises QueueFull, or Closing; then `job.end` is not called."""
        with self._changed:
            if self._closing:
                raise Closing("the server is shutting down: send the request to another one")
            waiting = self._accepted - self._begun
            if waiting >= self.max_queue and self._accepted:
                raise QueueFull(f"{waiting} requests wait already: try again later")
            self._accepted += 1
            ticket = Ticket.of(job)
            self._post(lambda: self._tickets.append(ticket))

    def cancel(self, job: Job) -> None:
        """Drop a job before the next step; one that has ended is passed over."""
        with self._changed:
            if self._accepted:
                self._post(lambda: self._drop(job, Cancelled("the request was cancelled")))

    def close(self, grace: float = 0.0) -> bool:
        """Take no more jobs, wait so many seconds for those at hand, and end the thread.

        Then no pass beside it begins any more, either. Returns whether all jobs came to their end.
        A pass of the network that takes longer than `PATIENCE` is not waited for.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(grace)
        whole = not self._thread.is_alive()
        self.turns.close()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(PATIENCE)
        return whole

    @property
    def load(self) -> Load:
        """What there is to do at the moment."""
        with self._changed:
            return Load(self._accepted - self._begun, self._begun, *self._opened)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # On the thread.

    def _post(self, message: Callable[[], None]) -> None:
        self._inbox.append(message)
        self._changed.notify_all()

    def _fresh(self) -> Engine:
        return Engine(self.denoiser, max_rows=self.max_rows, max_tokens=self.max_tokens)

    def _run(self) -> None:
        try:
            while self._wait():
                try:
                    self._round()
                except Exception as error:  # none is expected: the jobs end, the worker goes on
                    log.exception("the worker failed")
                    self._end_all(error)
        finally:  # by whatever: nobody waits for a thread that has ended
            with self._changed:
                self._closing = True
            self._forget()
            self._take()
            self._end_all(Closing(ENDED))

    def _wait(self) -> bool:
        """Wait while there is nothing to do; return whether there is something."""
        with self._changed:
            while not (self._inbox or self._tickets or self._closing):
                self._changed.wait()
            return not self._stopped and bool(self._inbox or self._tickets)

    def _take(self) -> None:
        """Take what was posted."""
        while True:
            with self._changed:
                if not self._inbox:
                    return
                message = self._inbox.popleft()
            message()

    def _round(self) -> None:
        self._take()
        now = time.monotonic()
        for ticket in [t for t in self._tickets if t.job.deadline <= now]:
            self._end(ticket, Expired(LATE))
        self._admit()
        self._note_load()
        if len(self._engine.unfinished):
            self._step()
        else:
            self._engine.max_rows = self.max_rows  # that memory ran out is over
            self._end_finished(self._tickets)  # of no rows at all
        self._note_load()

    def _admit(self) -> None:
        for ticket, numbers in admitted(self._tickets, self.max_rows, self.max_tokens):
            self._begin(ticket)
            try:
                ids = ticket.job.submit(self._engine, numbers)
            except Exception as error:
                self._end(ticket, error)
                self._drop_orphans()
                continue
            for _ in numbers:
                ticket.waiting.popleft()
            ticket.engine = self._engine
            ticket.opened.update(zip(ids.tolist(), numbers, strict=True))

    def _step(self) -> None:
        begun, most = time.perf_counter(), self._engine.max_rows
        try:
            with self.turns:
                events = self._engine.step()
        except Exception as error:
            self._fault(error)
            return
        finally:
            self._widen(most)
        if self.meter is not None:
            self._measure(self.meter, events, time.perf_counter() - begun)
        self._hand_on(events, self._tickets)  # after which nobody has the rows that are finished

    def _widen(self, most: int | None) -> None:
        """Let more rows in again, some steps after memory ran out. most: rows before this step."""
        now = self._engine.max_rows or self.max_rows
        self._calm = self._calm + 1 if now == most else 0
        if now < self.max_rows and self._calm >= CALM:
            self._engine.max_rows, self._calm = min(2 * now, self.max_rows), 0

    def _fault(self, error: Exception) -> None:
        """End the jobs that an error is about, found by stepping each of them alone."""
        named = set(error.rows) if isinstance(error, UnmaskError) else set[int]()
        opened = [ticket for ticket in self._tickets if ticket.opened]
        guilty = [t for t in opened if not named or named & t.opened.keys()] or opened
        if len(guilty) == 1:
            self._end(guilty[0], error)
            return
        self._drop_orphans()
        for ticket in guilty:
            self._alone(ticket)

    def _alone(self, ticket: Ticket) -> None:
        """Take a step of one job in an engine of its own, and its rows back."""
        self._move(ticket, self._fresh())
        assert ticket.engine is not None
        try:
            with self.turns:
                events = ticket.engine.step()
        except Exception as error:
            self._end(ticket, error)
            return
        self._hand_on(events, [ticket])
        if ticket in self._tickets:
            self._move(ticket, self._engine)

    @staticmethod
    def _move(ticket: Ticket, engine: Engine) -> None:
        """Hand the open rows of a job over to another engine, where they have other ids."""
        before, after = ticket.opened, dict[int, int]()
        assert ticket.engine is not None
        for state, strategy in ticket.engine.release(list(before)):
            numbers = [before[i] for i in state.rows.index.tolist()]
            after.update(zip(engine.adopt(state, strategy).tolist(), numbers, strict=True))
        ticket.engine, ticket.opened = engine, after

    def _hand_on(self, events: Iterable[Event], tickets: Iterable[Ticket]) -> None:
        """Tell jobs of their rows' steps, and end those that are finished."""
        several = list(tickets)
        owner = {row: ticket for ticket in several for row in ticket.opened}
        for event in events:
            self._tell(event, owner)
        self._end_finished(several)

    def _tell(self, event: Event, owner: dict[int, Ticket]) -> None:
        by_ticket: dict[int, list[tuple[int, int]]] = {}
        for place, row in enumerate(event.ids.tolist()):
            ticket = owner.get(row)
            if ticket is not None and ticket.job.watched:
                by_ticket.setdefault(id(ticket), []).append((place, ticket.opened[row]))
        tickets = {id(ticket): ticket for ticket in owner.values()}
        for key, chosen in by_ticket.items():
            self._call(tickets[key], _tell_steps, tickets[key].job, event, chosen)
        for row, found in event.results():
            ticket = owner.get(row)
            if ticket is not None:
                self._call(ticket, ticket.job.row, ticket.opened.pop(row), found)

    def _call(self, ticket: Ticket, method: Callable[..., None], *given: object) -> None:
        """Tell a job something; one that cannot take it ends."""
        if ticket not in self._tickets:
            return
        try:
            method(*given)
        except Exception as error:
            self._end(ticket, error)

    def _measure(self, meter: Meter, events: Iterable[Event], seconds: float) -> None:
        try:
            measure(meter, events, seconds, self._tickets, time.monotonic())
        except Exception:  # which is about no job
            log.exception("a step could not be measured")

    def _drop(self, job: Job, error: Exception) -> None:
        for ticket in [t for t in self._tickets if t.job is job]:
            self._end(ticket, error)

    def _begin(self, ticket: Ticket) -> None:
        with self._changed:
            self._begun += not ticket.begun
            ticket.begun = True

    def _drop_orphans(self) -> None:
        """Cancel rows of no job, such as those of one that could hand over only some of them."""
        owned = {row for ticket in self._tickets for row in ticket.opened}
        self._engine.cancel([row for row in self._engine.unfinished.tolist() if row not in owned])

    def _note_load(self) -> None:
        rows = sum(len(ticket.opened) for ticket in self._tickets)
        self._opened = rows, sum(ticket.tokens for ticket in self._tickets)

    def _forget(self) -> None:
        """Take a new engine, of which no job has rows."""
        self._engine = self._fresh()
        for ticket in self._tickets:
            ticket.engine, ticket.opened = None, {}

    def _end_all(self, error: Exception) -> None:
        self._forget()
        for ticket in list(self._tickets):
            self._end(ticket, error)

    def _end_finished(self, tickets: Iterable[Ticket]) -> None:
        for ticket in [t for t in tickets if not (t.waiting or t.opened)]:
            if ticket in self._tickets:
                self._end(ticket, None)

    def _end(self, ticket: Ticket, error: Exception | None) -> None:
        if ticket.engine is not None:
            ticket.engine.cancel(list(ticket.opened))
        with self._changed:
            self._tickets.remove(ticket)
            self._accepted -= 1
            self._begun -= ticket.begun
        self._note_load()
        if error is not None and is_out_of_memory(error):
            log.warning("memory ran out for one row of a request")
        let_go(error)
        try:
            ticket.job.end(error)
        except Exception:
            log.exception("a job could not be told its end")


def _tell_steps(job: Job, event: Event, chosen: Sequence[tuple[int, int]]) -> None:
    for step in steps_of(event.info, event.strategy, chosen):
        job.step(step)
