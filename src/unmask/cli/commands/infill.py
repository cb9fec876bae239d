"""`unmask infill`: the unknown positions of given rows."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Any

import typer

from unmask.cli.io.canvas_input import Given, is_ids, marked_rows, read_image, read_text, text_of
from unmask.cli.io.models import Model
from unmask.cli.options import Opened
from unmask.cli.runs.form import Form, formed
from unmask.cli.runs.generation_job import Asked, JobResult, check_size, prepare_job
from unmask.cli.ui.screen import note, print_json
from unmask.errors import InputError

EXAMPLES = [
    ("Solve a puzzle", "unmask infill shidoku --puzzle 1..4....2....3.."),
    ("Solve a file of puzzles", "unmask infill shidoku puzzles.txt > solved.txt"),
    (
        "Four completions of an image, NaN or -1 where unknown",
        "unmask infill digits --image half.npy -n 4 --out completions.png",
    ),
    (
        "Any ids, null where unknown",
        "echo '[1, null, null, 0]' | unmask infill FOLDER --json",
    ),
]
OPTIONS = """
FILE: Rows to fill in: lines of text, symbols or JSON, or an array in .npy; '-' or nothing is
    standard input.
--puzzle LINE: One character per cell, '.' or '0' where unknown, or text with [MASK]; repeatable.
--tokens FILE: One JSON list of ids a line, null where unknown; '#' begins a comment; '-' is
    standard input.
--image FILE.npy: An array (H,W) or (B,H,W) of grey levels, -1 or NaN where unknown.
--number, -n N: Completions of each row.
"""
SOURCES = "a FILE, --puzzle LINE, --tokens FILE, --image FILE.npy, or lines on standard input"


def command(
    model: str,
    *,
    file: Path | None = None,
    puzzle: list[str] | None = None,
    tokens: Path | None = None,
    image: Path | None = None,
    number: int = 1,
    form: Form,
    asked: Asked,
    opened: Opened,
    json: bool = False,
) -> None:
    """Fill in the unknown positions of rows; given positions never change.

    Rows are lines of text with [MASK] where unknown ([MASK:12] for twelve positions), lines of
    symbols such as 1..4, lines of JSON, or an array. Completed lines are written to standard output
    in the same form. With --regex, --json-schema or --choice, what is from the first to the last
    unknown position of a text has that form. Special tokens that a model's texts have around them
    are put there, and never generated.
    """
    _check_sources(file, puzzle, tokens, image)
    job = prepare_job(model, asked, opened, as_json=json)
    given = _read(job.model, file, puzzle, tokens, image)
    job = formed(job, given, form)
    check_size(len(given.rows) * number, max(map(len, given.rows)))
    given = given.repeated(number)
    canvas = given.canvas(job.model.condition(asked.class_, len(given.rows)))
    if job.model.rules is not None:
        job.model.rules.check_clues(canvas.tokens.masked_fill(canvas.editable, -1))
    result = job.run(canvas, given.around)
    if json:
        print_json(result.as_json())
    elif given.form == "image":
        result.show()
    else:
        _print_lines(result, given.form)


def _check_sources(*sources: Any) -> None:
    count = sum(source is not None for source in sources)
    if count > 1:
        raise InputError(f"more than one source of rows: pass one of {SOURCES}")
    if not count and sys.stdin.isatty():
        raise InputError(f"no rows to fill in: pass {SOURCES}")


def _read(
    model: Model,
    file: Path | None,
    puzzle: list[str] | None,
    tokens: Path | None,
    image: Path | None,
) -> Given:
    if file is not None and file.suffix == ".npy":
        image = file
    if image is not None:
        return read_image(image, model.layout)
    if puzzle is not None:
        text = "\n".join(puzzle)
    else:
        text = text_of(file) if tokens is None else text_of(tokens, "--tokens")
    encoding = model.encoding
    if encoding is None or tokens is not None or is_ids(text):
        return read_text(text, model.layout, ids=tokens is not None)
    assert model.card.mask_id is not None
    rows = marked_rows(text, encoding, model.card.mask_id, model.card.length)
    return Given(rows, "symbols", model.around)


def _print_lines(result: JobResult, form: str) -> None:
    """Print results on stdout, one line a row, and the summary on stderr."""
    lines = result.text() if form == "symbols" else None
    for line in lines or map(dumps, result.rows()):
        typer.echo(line)
    result.print_summary(note)
