"""Tracing of requests: each has an id, is counted, and is one line of the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unmask.server.asgi import App, Message, Receive, Scope, Send, answer_problem, header
from unmask.server.logs import Log, error_facts
from unmask.server.metrics import Metrics
from unmask.server.problems import problem_of

if TYPE_CHECKING:
    from fastapi import Request

ID = "x-request-id"
UNKNOWN = "other"
"""The endpoint of paths that no route has; their names come from outside, and are any number."""
DISCONNECTED = 499
_ID = re.compile(r"[!-~]{1,128}")
OUTCOMES = {
    401: "unauthorized",
    408: "timeout",
    429: "queue_full",
    DISCONNECTED: "disconnected",
    503: "unavailable",
}


@dataclass
class Trace:
    """A request that is answered, in `request.state.trace`. Routes put in what they know.

    id: of the client, or made. status: of the answer, or that of an error within a stream, which
    begins with 200. error: what went wrong. completion_tokens: of the rows that were finished.
    arrived: in seconds of `time.monotonic`.
    """

    id: str
    status: int = 0
    error: BaseException | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    arrived: float = field(default_factory=time.monotonic)

    @property
    def outcome(self) -> str:
        """What has become of the request, in a word."""
        if self.status in OUTCOMES:
            return OUTCOMES[self.status]
        return "ok" if self.status < 400 else "invalid" if self.status < 500 else "failed"

    def note(self, status: int, error: BaseException | None = None) -> None:
        """Take the status of an answer, or of an error that ends a stream, and the error."""
        self.status = max(self.status, status)
        self.error = self.error or error

    def use(self, usage: Mapping[str, Any]) -> None:
        """Take the tokens that a request cost, by their names in an answer."""
        self.prompt_tokens = usage["prompt_tokens"]
        self.completion_tokens = usage["completion_tokens"]


def trace_of(request: Request) -> Trace:
    """Return the trace of a request."""
    found = request.state.trace
    assert isinstance(found, Trace)
    return found


def new_id(given: str | None) -> str:
    """Return the id that a client gives, if it is one; else a new one."""
    if given is not None and _ID.fullmatch(given):
        return given
    return secrets.token_hex(16)


class Traced:
    """Middleware around all others: the trace, its line and its counts.

    An error that nobody foresaw is answered with 500 here.
    """

    def __init__(self, app: App, log: Log | None, metrics: Metrics):
        self.app, self.log, self.metrics = app, log, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace = Trace(new_id(header(scope, ID)))
        scope.setdefault("state", {})["trace"] = trace
        exchange = Exchange(trace, receive, send)
        with self.metrics.open.track_inprogress():
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except Exception as raised:
                await exchange.fail(raised)
            finally:
                exchange.close()
                self._record(scope, trace, time.monotonic() - trace.arrived)

    def _record(self, scope: Scope, trace: Trace, seconds: float) -> None:
        endpoint = getattr(scope.get("route"), "path", UNKNOWN)
        self.metrics.request(endpoint, trace.outcome, seconds)
        if trace.model is not None:
            tokens = trace.prompt_tokens or 0, trace.completion_tokens or 0
            self.metrics.usage(trace.model, *tokens)
        if self.log is None:
            return
        failed, facts = trace.outcome == "failed", dict[str, Any]()
        if trace.status >= 500 and trace.error is not None:
            facts = error_facts(trace.error, whole=self.log.level <= logging.DEBUG)
        self.log.put(
            logging.ERROR if failed else logging.INFO,
            "request",
            id=trace.id,
            method=scope["method"],
            endpoint=endpoint,
            status=trace.status,
            outcome=trace.outcome,
            seconds=round(seconds, 4),
            model=trace.model,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            **facts,
        )


class Exchange:
    """What goes to and comes from the client of one request, seen for its trace."""

    def __init__(self, trace: Trace, receive: Receive, send: Send):
        self.trace, self._receive, self._send = trace, receive, send
        self.begun = self.whole = self.gone = False

    async def receive(self) -> Message:
        """Receive from the client."""
        message = await self._receive()
        self.gone |= message["type"] == "http.disconnect" and not self.whole
        return message

    async def send(self, message: Message) -> None:
        """Send to the client; the answer begins with the id of the request."""
        if message["type"] == "http.response.start":
            self.begun = True
            self.trace.note(message["status"])
            named = (ID.encode(), self.trace.id.encode())
            message["headers"] = [*message.get("headers", ()), named]
        elif message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        """Answer an error, where no answer has begun."""
        problem = problem_of(error)
        self.trace.note(problem.status, error)
        if not self.begun:
            await answer_problem(problem, self.send)

    def close(self) -> None:
        """Note that the answer did not come to its end."""
        if self.whole:
            return
        if self.gone or not self.begun:
            self.trace.note(DISCONNECTED)
        elif self.trace.status < 400:
            self.trace.note(500)
