"""Answers to talks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.server.answers import Head
from unmask.server.asking import answer_of, seed_of, with_alternatives
from unmask.server.document import answers
from unmask.server.house import house_of
from unmask.server.likeliest import Likeliest
from unmask.server.parsing import Checked
from unmask.server.sending import answered
from unmask.server.settings import Settings
from unmask.server.text_answers import ChatForm, TextReply
from unmask.server.wire.answers import ChatAnswer
from unmask.server.wire.chat import ChatRequest
from unmask.text import TextModel

router = APIRouter(tags=["texts"], route_class=Checked)


@router.post(
    "/v1/chat/completions", response_model=None, responses=answers(ChatAnswer, streams=True)
)
async def chat(body: ChatRequest, request: Request) -> Response:
    """Answer a talk by the chat template of the model's tokenizer."""
    house = house_of(request)
    served, text = house.text_model(body.model)
    prepare = house.compile if body.forms else house.compute
    reply = await prepare(_reply, served.name, text, body, house.settings)
    return await answered(request, house, served, reply, body)


def _reply(name: str, text: TextModel, asked: ChatRequest, settings: Settings) -> TextReply:
    seed = seed_of(asked)
    count = asked.top_logprobs or 0
    rows = with_alternatives(answer_of(text, asked, seed, settings), count)
    likeliest = Likeliest(count) if count else None
    head = Head.of("chatcmpl", name, seed, rows.strategy(0).name)
    return TextReply(head, rows, asked, ChatForm(bool(asked.logprobs)), asked.n, likeliest)
