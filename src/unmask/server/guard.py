"""The guard: who may call the server, and which bodies are read at all."""

from __future__ import annotations

import asyncio
import hmac

from unmask.server.asgi import App, Receive, Scope, Send, answer_problem, header
from unmask.server.bodies import TooLarge, check_body, read_body, replayed
from unmask.server.problems import Problem

OPEN_PATHS = frozenset({"/health", "/ready", "/"})
OPEN_FOLDER = "/page/"
"""Answered without a key: a probe has none, and the page asks for it."""
QUICK = 64 * 1024
"""Bytes that are checked in the event loop; more are checked on a thread."""


def is_open(path: str) -> bool:
    """Return whether a path is answered without a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


class Keyed:
    """Middleware: requests carry `Authorization: Bearer KEY`. Comparisons take constant time."""

    def __init__(self, app: App, key: str):
        self.app, self.key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or is_open(scope["path"]) or self.is_known(scope):
            await self.app(scope, receive, send)
            return
        words = (
            "the API key is wrong"
            if header(scope, "authorization")
            else "this server needs an API key"
        )
        problem = Problem(
            401, f"{words}: send the header Authorization: Bearer KEY", code="invalid_api_key"
        )
        await answer_problem(problem, send, {"WWW-Authenticate": "Bearer"})

    def is_known(self, scope: Scope) -> bool:
        """Return whether a request carries the key."""
        kind, _, given = (header(scope, "authorization") or "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self.key)
        return same and kind.lower() == "bearer"


class Bounded:
    """Middleware: bodies are read whole, up to some bytes and seconds, and checked."""

    def __init__(self, app: App, max_body: int, timeout: float):
        self.app, self.max_body, self.timeout = app, max_body, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        try:
            told = header(scope, "content-length") or ""
            if told.isdecimal() and int(told[:20]) > self.max_body:
                raise TooLarge(self.max_body)
            body = await asyncio.wait_for(read_body(receive, self.max_body), self.timeout)
            if body is None:
                return
            if len(body) > QUICK:
                await asyncio.to_thread(check_body, body)
            else:
                check_body(body)
        except (asyncio.TimeoutError, TimeoutError):
            late = Problem(408, "the body did not arrive in time", "timeout_error", code="timeout")
            await answer_problem(late, send, {"Connection": "close"})
            return
        except Problem as problem:
            # What is left of the body is not read, so the connection cannot be used again.
            await answer_problem(problem, send, {"Connection": "close"})
            return
        await self.app(scope, replayed(body, receive), send)
