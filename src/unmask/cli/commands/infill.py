"""`unmask infill`: the unknown positions of given rows."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from unmask.cli import options
from unmask.cli.io.canvas_input import MARK, Given, marked_rows, read_image, read_text
from unmask.cli.io.models import Model
from unmask.cli.runs.generation_job import JobResult, check_size, prepare_job
from unmask.cli.ui.live import print_frame
from unmask.cli.ui.screen import note, print_json
from unmask.errors import InputError

EXAMPLES = [
    ("Solve a puzzle", "unmask infill shidoku --puzzle 1..4....2....3.."),
    ("Solve a file of puzzles", "unmask infill shidoku < puzzles.txt > solved.txt"),
    (
        "Four completions of an image, NaN or -1 where unknown",
        "unmask infill digits --image half.npy -n 4 --out completions.png",
    ),
    (
        "Any ids, null where unknown",
        "echo '[1, null, null, 0]' | unmask infill FOLDER --json",
    ),
]
SOURCES = "--puzzle LINE, --tokens FILE, --image FILE.npy, or lines on standard input"


def command(
    model: options.ModelName,
    puzzle: Annotated[
        list[str] | None,
        typer.Option(
            "--puzzle",
            metavar="LINE",
            help="One character per cell, '.' or '0' where unknown; repeatable.",
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            help="One JSON list of ids a line, null where unknown; '-' is standard input.",
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            metavar="FILE.npy",
            help="An array (H,W) or (B,H,W) of grey levels, -1 or NaN where unknown.",
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", metavar="N", help="Completions of each row.")
    ] = 1,
    preset: options.Preset = None,
    steps: options.Steps = None,
    temperature: options.Temperature = None,
    schedule: options.Schedule = None,
    set_: options.Settings = None,
    classes: options.Classes = None,
    seed: options.Seed = 0,
    max_rows: options.MaxRows = None,
    max_tokens: options.MaxTokens = None,
    out: options.Outputs = None,
    record: options.RecordFile = None,
    live: options.Live = None,
    json: options.AsJson = False,
) -> None:
    """Fill in the unknown positions of rows; given positions never change.

    Rows are lines of symbols, lines of JSON, or an array. Completed lines are written to standard
    output in the same form.
    """
    _check_sources(puzzle, tokens, image)
    job = prepare_job(
        model,
        preset=preset,
        options={"steps": steps, "temperature": temperature, "schedule": schedule},
        settings=set_,
        seed=seed,
        out=out,
        record=record,
        live=live,
        as_json=json,
        max_rows=max_rows,
        max_tokens=max_tokens,
    )
    given = _read(job.model, puzzle, tokens, image)
    check_size(len(given.rows) * number, max(map(len, given.rows)))
    given = given.repeated(number)
    result = job.run(given.canvas(job.model.condition(classes, len(given.rows))))
    if json:
        print_json(result.as_json())
    elif given.form == "image":
        _show(result)
    else:
        _print_lines(result, given.form)


def _check_sources(*sources: Any) -> None:
    count = sum(source is not None for source in sources)
    if count > 1:
        raise InputError(f"more than one source of rows: pass one of {SOURCES}")
    if not count and sys.stdin.isatty():
        raise InputError(f"no rows to fill in: pass {SOURCES}")


def _read(model: Model, puzzle: list[str] | None, tokens: Path | None, image: Path | None) -> Given:
    if image is not None:
        return read_image(image, model.layout)
    vocabulary = model.vocabulary
    if vocabulary is not None and tokens is None:
        text = "\n".join(puzzle) if puzzle is not None else _text(None)
        if not text.lstrip().startswith("[") or MARK.match(text.lstrip()):
            return Given(marked_rows(text, vocabulary.encode), "symbols")
        return read_text(text, model.layout, ids=True)
    if puzzle is not None:
        return read_text("\n".join(puzzle), model.layout, ids=False)
    return read_text(_text(tokens), model.layout, ids=tokens is not None)


def _text(path: Path | None) -> str:
    if path is None or str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--tokens {path} cannot be read: {error}") from None


def _show(result: JobResult) -> None:
    if not result.job.live:
        given = result.emerged.given
        print_frame(
            result.emerged.tokens, result.job.model.layout, result.job.model.name, given=given
        )
    result.print_summary()


def _print_lines(result: JobResult, form: str) -> None:
    """Print results on stdout, one line a row, and the summary on stderr."""
    lines = result.job.model.text(result.rows()) if form == "symbols" else None
    for line in lines or map(dumps, result.rows()):
        typer.echo(line)
    result.print_summary(note)
