"""Rows of any model whose unknown positions are filled in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.server.answers import Head
from unmask.server.asking import seed_of
from unmask.server.document import answers
from unmask.server.house import house_of
from unmask.server.infill_answers import InfillReply
from unmask.server.infilling import infill_of
from unmask.server.likeliest import Likeliest
from unmask.server.parsing import Checked
from unmask.server.sending import answered
from unmask.server.served import Served
from unmask.server.settings import Settings
from unmask.server.wire.answers import InfillAnswer
from unmask.server.wire.infill import InfillRequest

router = APIRouter(tags=["rows"], route_class=Checked)


@router.post("/v1/infill", response_model=None, responses=answers(InfillAnswer, streams=True))
async def infill(body: InfillRequest, request: Request) -> Response:
    """Fill in the unknown positions of a row; given ones never change."""
    house = house_of(request)
    served = house.model(body.model)
    reply = await house.compute(_reply, served, body, house.settings)
    return await answered(request, house, served, reply, body)


def _reply(served: Served, asked: InfillRequest, settings: Settings) -> InfillReply:
    seed = seed_of(asked)
    rows = infill_of(served, asked, seed, settings)
    head = Head.of("infill", served.name, seed, rows.strategy.name)
    likeliest = Likeliest(asked.top_logprobs) if asked.top_logprobs else None
    return InfillReply(head, rows, served, asked.return_record, likeliest)
