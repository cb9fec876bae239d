"""Where things are printed: results on stdout, everything else on stderr.

Consoles are made when they are used, so that a redirected stdout is respected.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from unmask.errors import InputError


def out() -> Console:
    """Stdout."""
    return Console(highlight=False)


def err() -> Console:
    """Stderr."""
    return Console(stderr=True, highlight=False)


def watched() -> bool:
    """Whether the output is a terminal: otherwise nothing moves, and no bar is shown."""
    return sys.stdout.isatty() and err().is_terminal


def is_shown(live: bool | None, as_json: bool) -> bool:
    """Whether steps are shown as they happen, given --live/--no-live and --json."""
    if live and as_json:
        raise InputError("--json prints one object and nothing else: leave --live out")
    if live and not sys.stdout.isatty():
        raise InputError(
            "--live needs a terminal, and stdout is none: leave --live out, or write an animation "
            "with --out moves.gif"
        )
    return sys.stdout.isatty() and not as_json and live is not False


def complain(message: str, label: str) -> None:
    """One error, in red; never wrapped, so that what is to be typed can be copied."""
    err().print(Text.assemble((label, "bold red"), (message, "red")), soft_wrap=True)


def note(*parts: str | tuple[str, str]) -> None:
    """`say` on stderr, where stdout holds results."""
    err().print(Text.assemble(*parts), soft_wrap=True)


def say(*parts: str | tuple[str, str]) -> None:
    """A line on stdout made of text and (text, style); never wrapped."""
    out().print(Text.assemble(*parts), soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """The one JSON object of --json."""
    typer.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """A spinner while the block runs, in a terminal."""
    if not watched():
        yield
        return
    with err().status(for_what):
        yield


def print_texts(texts: Sequence[str]) -> None:
    """Generated texts on stdout, a rule before each where there are several."""
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            out().rule(str(number), style="dim")
        typer.echo(text)


def counting() -> Progress:
    """A bar for work that is counted, with what comes next beside it; gone when it is done."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=err(),
        transient=True,
        disable=not watched(),
    )
