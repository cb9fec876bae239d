"""Fill in the middle by the name that others have for it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.server.document import answers
from unmask.server.parsing import Checked
from unmask.server.routes.completions import completions
from unmask.server.wire.answers import CompletionAnswer
from unmask.server.wire.completions import CompletionRequest

router = APIRouter(tags=["texts"], route_class=Checked)


@router.post(
    "/v1/fim/completions", response_model=None, responses=answers(CompletionAnswer, streams=True)
)
async def fim(body: CompletionRequest, request: Request) -> Response:
    """Write what stands between a prompt and a suffix, as /v1/completions does."""
    return await completions(body, request)
