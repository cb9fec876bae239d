"""Answers about prompts alone: their tokens and how likely each is, with nothing behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unmask.server.answers import Head, Usage
from unmask.server.asking import check_scoring, prompts_of, seed_of
from unmask.server.echoing import Echo, echoes
from unmask.server.settings import Settings
from unmask.server.text_answers import CompletionForm, Tokens, named
from unmask.server.wire.completions import CompletionRequest
from unmask.text import TextModel
from unmask.text.results import Completion

PRESET = "left_to_right"


def scored(
    name: str, text: TextModel, asked: CompletionRequest, settings: Settings
) -> dict[str, Any]:
    """Return the answer to max_tokens=0 with echo. Takes passes of the network, each in its turn.

    This is what evaluation clients ask for: the log-probability of a text that they know.
    """
    check_scoring(text, asked, settings)
    prompts: Sequence[str | list[int]] = asked.prompt
    count = asked.logprobs or 0
    found = [Echo([], [], [])] * len(prompts)
    if asked.logprobs is not None:
        found = echoes(text, prompts, count)
    form = CompletionForm(asked.logprobs is not None, echo=True)
    choices = list[dict[str, Any]]()
    for prompt, echo in zip(prompts, found, strict=True):
        given = prompt if isinstance(prompt, str) else text.encoding.decode(prompt)
        likeliest = [named(text.encoding, pairs) for pairs in echo.likeliest] if count else None
        before = Tokens(echo.pieces, echo.logprobs, likeliest)
        nothing = Completion("", [], [], [], 0, "length", given)
        choice = form.choice(nothing, before, Tokens((), (), [] if count else None))
        choices += [{"index": len(choices) + i, **choice} for i in range(asked.n)]
    tokens = sum(map(len, prompts_of(text, asked)))
    usage = Usage(tokens, 0, 0, 0).entries()
    head = Head.of("cmpl", name, seed_of(asked), PRESET)
    return {**head.entries(form.whole), "choices": choices, "usage": usage}
