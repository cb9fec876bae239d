"""Printing: results on stdout, everything else on stderr.

Consoles are made when they are used, so that a redirected stdout is respected.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.text import Text

from unmask.core.lines import json_line
from unmask.errors import InputError


def out() -> Console:
    """Return a console on stdout."""
    return Console(highlight=False)


def err() -> Console:
    """Return a console on stderr."""
    return Console(stderr=True, highlight=False)


def is_terminal() -> bool:
    """Return whether stdout and stderr are a terminal; no bar is shown otherwise."""
    return sys.stdout.isatty() and err().is_terminal


def is_shown(live: bool | None, as_json: bool) -> bool:
    """Return whether each step is drawn, given --live/--no-live and --json."""
    if live and as_json:
        raise InputError(
            "--json prints one object and nothing else, so --live cannot be shown: leave --live out"
        )
    if live and not sys.stdout.isatty():
        raise InputError(
            "--live needs a terminal, and stdout is not one: leave --live out, or write an "
            "animation with --out moves.gif"
        )
    return sys.stdout.isatty() and not as_json and live is not False


def complain(message: str, label: str) -> None:
    """Print one error in red; it is not wrapped, so that commands in it can be copied."""
    with suppress(OSError):  # the exit code tells the rest
        err().print(Text.assemble((label, "bold red"), (message, "red")), soft_wrap=True)


def note(*parts: str | tuple[str, str]) -> None:
    """Print a line on stderr, as `say` does on stdout."""
    err().print(Text.assemble(*parts), soft_wrap=True)


def say(*parts: str | tuple[str, str]) -> None:
    """Print a line of texts and (text, style) pairs on stdout, without wrapping."""
    out().print(Text.assemble(*parts), soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """Print the JSON object of --json."""
    typer.echo(json_line(value))


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """Show a spinner while the block runs, in a terminal."""
    if not is_terminal():
        yield
        return
    with err().status(for_what):
        yield


def print_texts(texts: Sequence[str]) -> None:
    """Print generated texts on stdout; if there are several, a numbered rule precedes each."""
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            out().rule(str(number), style="dim")
        typer.echo(text)


def counting() -> Progress:
    """Return a bar that shows description, done, total and time left, and vanishes at the end."""
    return Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=err(),
        transient=True,
        disable=not is_terminal(),
    )


def counted(number: int, what: str) -> str:
    """Return `1 row`, `2 rows` and so on."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
