"""The command line application. torch is imported inside commands only, to start quickly."""

from __future__ import annotations

from typing import Annotated

import typer

from unmask.cli.command import examples, guarded, paragraphs
from unmask.cli.commands import (
    bench_serve,
    chat,
    compare,
    complete,
    demo,
    evaluate,
    fill,
    generate,
    infill,
    info,
    init,
    score,
    serve,
    show,
    solve,
    train,
)

EPILOG = """[bold]Start here:[/bold] [cyan]unmask demo[/cyan]

[bold]Exit codes:[/bold] 0, success; 1, an unexpected failure, such as a full disk; 2, an argument
or file that cannot work; 3, an optional library is missing; 130, interrupted by Ctrl-C; 143,
terminated.
"""

app = typer.Typer(
    name="unmask",
    help="Generate sequences by iterative unmasking: whole rows, or the unknown part of given rows."
    "\n\nMODEL is the name of a bundled model, a folder written by unmask train or unmask.save, or "
    "a masked language model of transformers: its folder, or its repository on the hub.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

MODULES = (demo, generate, infill, solve, fill, complete, chat, show, info, train, init, evaluate)

for module in (*MODULES, compare, score, serve, bench_serve):
    prose = paragraphs(module.command.__doc__ or "")
    app.command(help=prose, epilog=examples(module.EXAMPLES))(
        guarded(module.command, module.OPTIONS)
    )


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
    """Take the options that belong to no single command."""
