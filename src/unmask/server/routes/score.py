"""How likely a row is."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request

from unmask.core.random import SEED_LIMIT
from unmask.server.document import answers
from unmask.server.house import house_of
from unmask.server.measuring import measured
from unmask.server.parsing import Checked
from unmask.server.sending import passed
from unmask.server.tracing import trace_of
from unmask.server.wire.answers import ScoreAnswer
from unmask.server.wire.score import ScoreRequest

router = APIRouter(tags=["rows"], route_class=Checked)


@router.post("/v1/score", response_model=None, responses=answers(ScoreAnswer))
async def score(body: ScoreRequest, request: Request) -> dict[str, Any]:
    """Score a row: a bound with its standard error, an exact likelihood, or a pseudo-likelihood."""
    house = house_of(request)
    served = house.model(body.model)
    seed = secrets.randbelow(SEED_LIMIT) if body.seed is None else body.seed
    given = served, body, seed, house.settings
    found = await passed(request, house, served, measured, *given)
    trace_of(request).use({"prompt_tokens": found["tokens"], "completion_tokens": 0})
    return found
