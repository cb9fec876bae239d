"""Types of ASGI, and answers of middleware, which stands around the routes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from unmask.server.problems import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: str) -> str | None:
    """Return a header of a request, None without it. name: in small letters."""
    found = [value for key, value in scope["headers"] if key == name.encode()]
    return found[0].decode("latin-1") if found else None


async def answer_problem(
    problem: Problem, send: Send, headers: Mapping[str, str] | None = None
) -> None:
    """Send a problem as the whole answer."""
    body = json.dumps(problem.body).encode()
    named = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    every = {**named, **problem.headers, **(headers or {})}
    raw = [(key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in every.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
