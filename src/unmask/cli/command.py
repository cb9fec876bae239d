"""Wrappers for all commands: errors become one message and an exit code; help shows examples."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import typer
from rich.markup import escape

from unmask.cli.options import SHARED, described, entries
from unmask.cli.ui.screen import complain
from unmask.core.interruption import Interrupted, interruptible
from unmask.errors import MissingExtraError, UnmaskError

FAILED, BAD_INPUT, MISSING_EXTRA, INTERRUPTED = 1, 2, 3, 130

Example = tuple[str, str]  # a description, the command line

DEBUG = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)


def examples(each: Sequence[Example]) -> str:
    """Return the end of a help page: descriptions and command lines, in rich markup."""
    shown = [f"[dim]{escape(what)}:[/dim]\n[cyan]{escape(line)}[/cyan]" for what, line in each]
    return "\n\n".join(["[bold]Examples[/bold]", *shown])


def paragraphs(docstring: str) -> str:
    """Return a docstring with each paragraph on one line; the help page wraps lines itself."""
    return "\n\n".join(" ".join(each.split()) for each in inspect.cleandoc(docstring).split("\n\n"))


def guarded(function: Callable[..., None], text: str) -> Callable[..., None]:
    """Return the command with the options of `text` and --debug, printing any error as one message.

    A parameter that is a dataclass stands for the options that are its fields.
    """
    own = inspect.signature(function, eval_str=True).parameters.values()
    groups: dict[str, Any] = {p.name: p.annotation for p in own if is_dataclass(p.annotation)}

    @functools.wraps(function)
    def run(*, debug: bool, **given: Any) -> None:
        try:
            with interruptible():
                for name, kind in groups.items():
                    given[name] = kind(**{each.name: given.pop(each.name) for each in fields(kind)})
                function(**given)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            code, message = verdict(error)
            complain(message, "" if isinstance(error, KeyboardInterrupt) else "Error: ")
            raise typer.Exit(code) from None

    parts = {name: inspect.signature(kind, eval_str=True) for name, kind in groups.items()}
    nested = [parts[p.name].parameters.values() if p.name in parts else [p] for p in own]
    texts = entries(SHARED) | entries(text)
    parameters = [described(each, texts) for each in (*chain(*nested), DEBUG)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = function.__module__.rpartition(".")[2]
    return run


def verdict(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the message for the error that ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return interrupted(error), str(error) or "Interrupted."
    if isinstance(error, MissingExtraError):
        return MISSING_EXTRA, str(error)
    if isinstance(error, UnmaskError):
        return BAD_INPUT, str(error)
    if isinstance(error, OSError) and error.strerror:
        return FAILED, f"{error.filename or 'standard output'}: {error.strerror}"
    if _is_out_of_memory(error):
        what = str(error).partition("\n")[0] or "no more could be had"
        return FAILED, f"memory ran out ({what}): pass fewer rows, steps or positions"
    return FAILED, f"{type(error).__name__}: {error}\nThis is unexpected; --debug shows where."


def _is_out_of_memory(error: BaseException) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from unmask.core.inference import is_out_of_memory

    return is_out_of_memory(error)


def interrupted(error: BaseException) -> int:
    """Return the exit code of the signal behind an error, which a command may have reworded."""
    signal = error if isinstance(error, Interrupted) else error.__context__
    return signal.code if isinstance(signal, Interrupted) else INTERRUPTED
