"""The gate: whether requests are taken on, and how many are at hand."""

from __future__ import annotations

import threading
from enum import Enum

from unmask.server.asgi import App, Message, Receive, Scope, Send, answer_problem
from unmask.server.problems import Problem

GUARDED = "/v1/"
"""Paths that need models begin so; others are answered at any time."""


class Phase(Enum):
    """What a server does with a new request."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


REASONS = {
    Phase.LOADING: ("the models are still being loaded: try again later", "loading"),
    Phase.DRAINING: (
        "the server is shutting down: send the request to another one",
        "shutting_down",
    ),
}


class Gate:
    """The phase of a server, and the number of requests between their acceptance and their end."""

    def __init__(self, phase: Phase = Phase.READY):
        self._phase, self._open = phase, 0
        self._lock = threading.Lock()

    @property
    def phase(self) -> Phase:
        """What is done with a new request."""
        return self._phase

    @property
    def open(self) -> int:
        """Requests at hand."""
        return self._open

    def ready(self) -> None:
        """Take requests on from now, unless the server ends already."""
        with self._lock:
            if self._phase is Phase.LOADING:
                self._phase = Phase.READY

    def drain(self) -> None:
        """Take no more requests on."""
        with self._lock:
            self._phase = Phase.DRAINING

    def enter(self) -> None:
        """Count a request. Raises Problem 503 where none is taken on."""
        with self._lock:
            if self._phase is not Phase.READY:
                words, code = REASONS[self._phase]
                raise Problem(503, words, "server_error", code=code)
            self._open += 1

    def leave(self) -> None:
        """Count a request no more."""
        with self._lock:
            self._open -= 1


class Gated:
    """Middleware: requests pass a gate. While the server ends, connections are closed."""

    def __init__(self, app: App, gate: Gate):
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self.app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self.gate.phase is Phase.DRAINING:
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            self.gate.enter()
        except Problem as problem:
            await answer_problem(problem, closing)
            return
        try:
            await self.app(scope, receive, closing)
        finally:
            self.gate.leave()
