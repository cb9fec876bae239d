"""Turns: one thread at a time uses a network, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from torch import Tensor

from unmask.core.network import Cache, Denoiser, Query
from unmask.models.forwarding import Forwarding


class Turns:
    """A lock whose waiting threads get it in the order in which they came."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

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


class InTurn(Forwarding):
    """A denoiser whose passes wait for their turn: of calls beside a worker, such as scoring."""

    def __init__(self, inner: Denoiser, turns: Turns):
        super().__init__(inner)
        self.turns = turns

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return what the inner denoiser does."""
        with self.turns:
            return self.inner.forward(query, cache)
