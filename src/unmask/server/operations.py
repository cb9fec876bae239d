"""Operation of a server: its gate, metrics and log, and the middleware that they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unmask.server.gate import Gate, Gated
from unmask.server.guard import Bounded, Keyed
from unmask.server.logs import Log
from unmask.server.metrics import Metrics
from unmask.server.settings import Settings
from unmask.server.tracing import ID, Traced

if TYPE_CHECKING:
    from fastapi import FastAPI, Request


@dataclass(frozen=True)
class Operations:
    """What watches over requests. log: None writes none."""

    gate: Gate = field(default_factory=Gate)
    metrics: Metrics = field(default_factory=Metrics)
    log: Log | None = None


def watch_over(app: FastAPI, settings: Settings, operations: Operations) -> None:
    """Put the middleware around an application. The first that a request meets is added last."""
    from fastapi.middleware.cors import CORSMiddleware

    app.state.operations = operations
    app.add_middleware(Bounded, max_body=settings.max_body, timeout=settings.timeout)
    app.add_middleware(Gated, gate=operations.gate)
    if settings.api_key is not None:
        app.add_middleware(Keyed, key=settings.api_key)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[ID],
        )
    app.add_middleware(Traced, log=operations.log, metrics=operations.metrics)


def operations_of(request: Request) -> Operations:
    """Return what watches over a request's application."""
    found = request.app.state.operations
    assert isinstance(found, Operations)
    return found
