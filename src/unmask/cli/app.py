"""The commands put together. Nothing here, nor at the top of any command, imports torch."""

from __future__ import annotations

from typing import Annotated

import typer

from unmask.cli.command import examples, guarded, paragraphs
from unmask.cli.commands import (
    compare,
    demo,
    evaluate,
    generate,
    infill,
    info,
    init,
    score,
    show,
    solve,
    train,
)

EPILOG = """[bold]Start here:[/bold] [cyan]unmask demo[/cyan]

[bold]Exit codes:[/bold] 0, done; 1, an unexpected failure, such as a full disk; 2, something
passed cannot work; 3, an optional library is missing; 130, interrupted by Ctrl-C.
"""

app = typer.Typer(
    name="unmask",
    help="Generate sequences by iterative unmasking: from nothing, or around what is given.\n\n"
    "MODEL is the name of a bundled model or a folder that training or unmask.save wrote.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for module in (demo, generate, infill, solve, show, info, train, init, evaluate, compare, score):
    prose = paragraphs(module.command.__doc__ or "")
    app.command(help=prose, epilog=examples(module.EXAMPLES))(guarded(module.command))


def _print_version(wanted: bool) -> None:
    if wanted:
        from unmask import __version__

        typer.echo(f"unmask {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take what is not the business of one command."""
