"""Turns: one thread at a time uses a network, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from torch import Tensor

from unmask.core.network import Cache, Denoiser, Query
from unmask.models.forwarding import Forwarding
from unmask.server.failures import ENDED, Closing, WorkerError


class Turns:
    """A lock whose waiting threads get it in the order in which they came."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()
        self.closed = False

    def close(self) -> None:
        """Let no pass of an `InTurn` begin from now; that of a worker may."""
        self.closed = True

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


class Permit:
    """Whether passes beside the worker may be taken for a request, until it is withdrawn."""

    def __init__(self) -> None:
        self._why: WorkerError | None = None

    def withdraw(self, why: WorkerError) -> None:
        """Let no further pass begin, for this reason."""
        self._why = self._why or why

    def check(self) -> None:
        """Raise the reason, once it is withdrawn."""
        if self._why is not None:
            raise self._why

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the passes of the block, on this thread, by this permit."""
        before = _HELD.set(self)
        try:
            yield
        finally:
            _HELD.reset(before)


_HELD: ContextVar[Permit | None] = ContextVar("permit", default=None)


class InTurn(Forwarding):
    """A denoiser whose passes wait for their turn: of calls beside a worker, such as scoring.

    A pass raises why the permit was withdrawn, or Closing once the turns are closed.
    """

    def __init__(self, inner: Denoiser, turns: Turns):
        super().__init__(inner)
        self.turns = turns

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return what the inner denoiser does."""
        self._check()
        with self.turns:
            self._check()  # again: the wait may have been long
            return self.inner.forward(query, cache)

    def _check(self) -> None:
        permit = _HELD.get()
        if permit is not None:
            permit.check()
        if self.turns.closed:
            raise Closing(ENDED)
