"""Whether the server is alive, whether it takes requests, and its metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from unmask.server.document import ERRORS
from unmask.server.gate import Phase
from unmask.server.house import house_of
from unmask.server.metrics import TYPE
from unmask.server.operations import operations_of
from unmask.server.problems import RETRY_AFTER
from unmask.server.wire.answers import Failure, Status

router = APIRouter(tags=["health"])


@router.get("/health", response_model=Status)
async def health() -> dict[str, str]:
    """Say that the event loop runs."""
    return {"status": "ok"}


@router.get(
    "/ready",
    response_model=Status,
    responses={503: {"model": Status, "description": "not now, with Retry-After"}},
)
async def ready(request: Request) -> JSONResponse:
    """Say whether requests are taken: 503 while models are loaded, and once the server ends.

    Also where the thread of a model has ended, which nothing but a new start mends.
    """
    phase = operations_of(request).gate.phase
    models = list(house_of(request).models.values())
    dead = [each.name for each in models if not each.worker.alive]
    if phase is Phase.READY and not dead:
        return JSONResponse({"status": phase.value})
    told = f"no worker: {dead[0]}" if phase is Phase.READY else phase.value
    return JSONResponse({"status": told}, 503, {"Retry-After": str(RETRY_AFTER)})


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={401: {"model": Failure, "description": ERRORS[401]}},
)
def metrics(request: Request) -> Response:
    """Tell all metrics, in the format of Prometheus."""
    operations = operations_of(request)
    if operations.log is not None:
        operations.metrics.dropped.set(operations.log.dropped)
    return Response(operations.metrics.text, media_type=TYPE)
