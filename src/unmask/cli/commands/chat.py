"""`unmask chat`: a talk with a model, whose answers emerge in place."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer
from rich.live import Live
from rich.text import Text

from unmask.cli.io.presets import Drawn
from unmask.cli.options import Opened
from unmask.cli.runs.form import Form
from unmask.cli.runs.text_job import MODEL, open_text_model, strategy_of
from unmask.cli.ui.screen import is_terminal, note, out
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.text import TextModel

EXAMPLES = [
    ("Talk to a model", "unmask chat GSAI-ML/LLaDA-8B-Instruct"),
    ("With fewer forwards", "unmask chat Dream-org/Dream-v0-Instruct-7B --preset threshold"),
]
OPTIONS = f"""
{MODEL}
--max-new-tokens N: Tokens of an answer.
--system TEXT: What the model is told before the talk.
"""
HELP = "/reset begins anew, /preset NAME changes the method, /exit ends; Ctrl-C stops an answer."


def command(
    model: str,
    *,
    max_new_tokens: int = 256,
    system: str | None = None,
    form: Form,
    drawn: Drawn,
    opened: Opened,
) -> None:
    """Talk to a model. Its answers emerge in place, in any order.

    Ctrl-C stops an answer and keeps the talk. /reset begins anew, /preset NAME changes the method,
    /exit or Ctrl-D ends. Without a terminal, each line of standard input is a question.
    """
    text = open_text_model(model, opened)
    strategy_of(text, drawn)  # an option that cannot be is told before the first question
    told = form.given()
    start = [] if system is None else [{"role": "system", "content": system}]
    talk = list(start)
    note((HELP, "dim")) if sys.stdin.isatty() else None
    while (line := _asked()) is not None:
        word, _, rest = line.partition(" ")
        if word == "/exit":
            return
        if word == "/reset":
            talk = list(start)
            continue
        if word == "/preset":
            drawn = _changed(text, drawn, rest.strip())
            continue
        if line.startswith("/"):
            note((f"{word}: {HELP}", "yellow"))
            continue
        talk.append({"role": "user", "content": line})
        answer = _answer(text, talk, max_new_tokens, drawn, told)
        talk.append({"role": "assistant", "content": answer})


def _asked() -> str | None:
    """Return the next question that is not empty, None at the end."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return None
        if line:
            return line


def _changed(text: TextModel, drawn: Drawn, name: str) -> Drawn:
    """Return the options with another preset, or as they were where there is none of that name."""
    asked = replace(drawn, preset=name or None, steps=None, temperature=None, set_=None)
    try:
        strategy_of(text, asked)
    except InputError as error:
        note((str(error), "red"))
        return drawn
    return asked


def _answer(
    text: TextModel, talk: list[dict[str, str]], count: int, drawn: Drawn, told: dict[str, Any]
) -> str:
    """Print an answer as it emerges, and return what is final of it, all or up to a Ctrl-C."""
    final = ""
    states = text.stream_chat(
        talk, count, seed=drawn.seed + len(talk), strategy=strategy_of(text, drawn), **told
    )
    try:
        if not is_terminal():
            for state in states:
                final += state.piece
            typer.echo(final)
            return final
        with Live(console=out(), transient=True, refresh_per_second=20) as live:
            for state in states:
                final += state.piece
                live.update(Text(state.snapshot))
    except KeyboardInterrupt:
        note(("stopped", "yellow"))
    out().print(Text(final))
    return final
