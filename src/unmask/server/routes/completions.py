"""Texts that go on, and what stands between two texts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from unmask.server.answers import Head
from unmask.server.asking import completions_of, seed_of, with_alternatives
from unmask.server.document import answers
from unmask.server.echoing import echoes
from unmask.server.house import house_of
from unmask.server.likeliest import Likeliest
from unmask.server.parsing import Checked
from unmask.server.scoring_answers import scored
from unmask.server.sending import answered, passed
from unmask.server.settings import Settings
from unmask.server.text_answers import CompletionForm, TextReply
from unmask.server.tracing import trace_of
from unmask.server.wire.answers import CompletionAnswer
from unmask.server.wire.completions import CompletionRequest
from unmask.text import TextModel

router = APIRouter(tags=["texts"], route_class=Checked)


@router.post(
    "/v1/completions", response_model=None, responses=answers(CompletionAnswer, streams=True)
)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Complete texts, fill in the middle of a prompt and a suffix, or score prompts."""
    house = house_of(request)
    served, text = house.text_model(body.model)
    given = served.name, text, body, house.settings
    if body.most == 0:
        found = await passed(request, house, served, scored, *given)
        trace_of(request).use(found["usage"])
        return JSONResponse(found)
    if body.suffix or body.echo:
        reply = await passed(request, house, served, _reply, *given)
    else:
        prepare = house.compile if body.forms else house.compute
        reply = await prepare(_reply, *given)
    return await answered(request, house, served, reply, body)


def _reply(name: str, text: TextModel, asked: CompletionRequest, settings: Settings) -> TextReply:
    seed = seed_of(asked)
    count = asked.logprobs or 0
    rows = with_alternatives(completions_of(text, asked, seed, settings), count)
    echoed = echoes(text, asked.prompt, count) if asked.echo and asked.logprobs is not None else ()
    likeliest = Likeliest(count) if count else None
    form = CompletionForm(asked.logprobs is not None, asked.echo)
    head = Head.of("cmpl", name, seed, rows.strategy(0).name)
    return TextReply(head, rows, asked, form, asked.rows_each, likeliest, echoed)
