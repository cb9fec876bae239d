"""The worker: an engine on a thread of its own, and the jobs whose rows it generates."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from unmask.core.inference import is_out_of_memory
from unmask.core.network import Denoiser
from unmask.engine import Engine
from unmask.engine.engine import Event
from unmask.errors import UnmaskError
from unmask.server.admission import Ticket, admitted
from unmask.server.job import Job, steps_of
from unmask.server.turns import Turns

log = logging.getLogger("unmask.server")

MAX_ROWS = 64


class WorkerError(UnmaskError, RuntimeError):
    """A job ends without a result."""


class QueueFull(WorkerError):
    """Too many jobs wait."""


class Closing(WorkerError):
    """The worker takes no more jobs."""


class Expired(WorkerError):
    """A job has not finished by its deadline."""


class Cancelled(WorkerError):
    """Nobody waits for a job any more."""


class Meter(Protocol):
    """What measures a worker."""

    def step(self, seconds: float, rows: int, positions: int, width: int, committed: int) -> None:
        """Take a step of the engine: rows, their positions, and those of the widest times rows."""

    def first(self, seconds: float) -> None:
        """Take the time from a job's submission to its first step that commits a token."""


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

    def cancel(self, job: Job, why: WorkerError | None = None) -> None:
        """Drop a job before the next step; one that has ended is passed over."""
        error = why or Cancelled("the request was cancelled")
        with self._changed:
            self._post(lambda: self._drop(job, error))

    def close(self, grace: float = 0.0) -> bool:
        """Take no more jobs, wait so many seconds for those at hand, and end the thread.

        Returns whether all of them came to their end.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(grace)
        whole = not self._thread.is_alive()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
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
        while self._wait():
            try:
                self._round()
            except Exception as error:  # none is expected: the jobs end, the worker goes on
                log.exception("the worker failed")
                for ticket in list(self._tickets):
                    self._end(ticket, error)
                self._engine = self._fresh()
        for ticket in list(self._tickets):
            self._end(ticket, Closing("the server shut down before the request was finished"))

    def _wait(self) -> bool:
        """Take what was posted, waiting while there is nothing to do; return whether to go on."""
        with self._changed:
            while not (self._inbox or self._tickets or self._closing):
                self._changed.wait()
            posted, self._inbox = list(self._inbox), deque()
        for message in posted:
            message()
        return not self._stopped and (bool(self._tickets) or not self._closing)

    def _round(self) -> None:
        now = time.monotonic()
        for ticket in [t for t in self._tickets if t.job.deadline <= now]:
            self._end(ticket, Expired("the request was not finished in time"))
        self._admit()
        self._note_load()
        if len(self._engine.unfinished):
            self._step()
        else:
            self._engine.max_rows = self.max_rows  # that memory ran out is over
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
            ticket.opened.update(zip(ids.tolist(), numbers, strict=True))

    def _step(self) -> None:
        begun = time.perf_counter()
        try:
            with self.turns:
                events = self._engine.step()
        except Exception as error:
            self._fault(error)
            return
        seconds = time.perf_counter() - begun
        if self.meter is not None:
            self._measure(self.meter, events, seconds)
        self._hand_on(events)  # after which nobody has the rows that are finished

    def _fault(self, error: Exception) -> None:
        """End the jobs that an error is about, found by stepping each of them alone."""
        named = set(error.rows) if isinstance(error, UnmaskError) else set[int]()
        opened = [ticket for ticket in self._tickets if ticket.opened]
        guilty = [t for t in opened if not named or named & t.opened.keys()] or opened
        if len(guilty) == 1:
            self._end(guilty[0], error)
            return
        for ticket in guilty:
            self._alone(ticket)

    def _alone(self, ticket: Ticket) -> None:
        """Take a step of one job in an engine of its own, and its rows back."""
        before = dict(ticket.opened)
        engine, number = self._fresh(), dict[int, int]()
        for state, strategy in self._engine.release(before):
            old = [before[i] for i in state.rows.index.tolist()]
            number.update(zip(engine.adopt(state, strategy).tolist(), old, strict=True))
        ticket.opened = number
        try:
            with self.turns:
                events = engine.step()
        except Exception as error:
            self._end(ticket, error)
            return
        self._hand_on(events, [ticket])
        back = dict[int, int]()
        for state, strategy in engine.release(list(ticket.opened)):
            old = [ticket.opened[i] for i in state.rows.index.tolist()]
            back.update(zip(self._engine.adopt(state, strategy).tolist(), old, strict=True))
        ticket.opened = back

    def _hand_on(self, events: Iterable[Event], tickets: Iterable[Ticket] | None = None) -> None:
        """Tell jobs of their rows' steps, and end those that are finished."""
        several = list(self._tickets if tickets is None else tickets)
        owner = {row: ticket for ticket in several for row in ticket.opened}
        for event in events:
            self._tell(event, owner)
        for ticket in several:
            if ticket in self._tickets and not (ticket.waiting or ticket.opened):
                self._end(ticket, None)

    def _tell(self, event: Event, owner: dict[int, Ticket]) -> None:
        by_ticket: dict[int, list[tuple[int, int]]] = {}
        for place, row in enumerate(event.ids.tolist()):
            ticket = owner.get(row)
            if ticket is not None and ticket.job.watched:
                by_ticket.setdefault(id(ticket), []).append((place, ticket.opened[row]))
        tickets = {id(ticket): ticket for ticket in owner.values()}
        for key, chosen in by_ticket.items():
            for step in steps_of(event.info, event.strategy, chosen):
                self._call(tickets[key], tickets[key].job.step, step)
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
        rows = positions = width = committed = 0
        for event in events:
            here = event.info.state
            rows += len(here)
            positions += int(here.rows.length.sum())
            width += here.tokens.numel()
            counts = event.info.committed.sum(1).cpu().numpy()
            committed += int(counts.sum())
            self._measure_first(meter, event.ids[counts > 0].tolist())
        meter.step(seconds, rows, positions, width, committed)

    def _measure_first(self, meter: Meter, rows: Iterable[int]) -> None:
        """Tell the wait for the first token of jobs that one of these rows gave it."""
        new = set(rows)
        for ticket in self._tickets:
            if not ticket.answered and new & ticket.opened.keys():
                ticket.answered = True
                meter.first(time.monotonic() - ticket.arrived)

    def _drop(self, job: Job, error: WorkerError) -> None:
        for ticket in [t for t in self._tickets if t.job is job]:
            self._end(ticket, error)

    def _begin(self, ticket: Ticket) -> None:
        with self._changed:
            self._begun += not ticket.begun
            ticket.begun = True

    def _drop_orphans(self) -> None:
        """Cancel rows of a job that could hand over only some of them."""
        owned = {row for ticket in self._tickets for row in ticket.opened}
        self._engine.cancel([row for row in self._engine.unfinished.tolist() if row not in owned])

    def _note_load(self) -> None:
        rows = sum(len(ticket.opened) for ticket in self._tickets)
        self._opened = rows, sum(ticket.tokens for ticket in self._tickets)

    def _end(self, ticket: Ticket, error: Exception | None) -> None:
        self._engine.cancel(list(ticket.opened))
        with self._changed:
            self._tickets.remove(ticket)
            self._accepted -= 1
            self._begun -= ticket.begun
        self._note_load()
        if error is not None and is_out_of_memory(error):
            log.warning("memory ran out for one row of a request")
        try:
            ticket.job.end(error)
        except Exception:
            log.exception("a job could not be told its end")
