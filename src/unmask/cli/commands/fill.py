"""`unmask fill`: the masks of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from unmask.cli.io import fasta, outputs
from unmask.cli.io.presets import Drawn
from unmask.cli.io.prompts import Row, rows_of, write_rows
from unmask.cli.options import Opened
from unmask.cli.runs.text_job import MODEL, open_text_model, strategy_of
from unmask.cli.ui import screen
from unmask.core.checks import check_count
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.text import Filling

EXAMPLES = [
    ("One word", "unmask fill google-bert/bert-base-uncased 'Paris is the [MASK] of France.'"),
    ("Five words that belong together", "unmask fill MODEL 'The [MASK:2] of [MASK:3].' --top-k 5"),
    ("Lengths from one to six", "unmask fill MODEL 'She said [MASK] .' --candidates 1-6"),
    (
        "Proteins, X where a residue is unknown",
        "unmask fill facebook/esm2_t6_8M_UR50D --file in.fasta --unknown X --out out.fasta",
    ),
]
OPTIONS = f"""
{MODEL}
TEXTS: Texts with [MASK] where a token is unknown, [MASK:3] for three. Default: those of --file,
    else of standard input.
--file FILE: Texts: lines of text, objects with a "text" in .jsonl, or FASTA.
--unknown LETTERS: Letters of FASTA that stand for an unknown one, such as X or '?_', beside
    [MASK]; a record that has none stays as it is. Default: none; X is a letter like others.
--out FILE: Write the filled texts to this file: sequences in .fasta, else one JSON object a line.
--top-k K: Fillings of each text.
--candidates LENGTHS: Try each of these lengths for the only mask of a text, such as 1-6 or 1,2,4.
--preset NAME: Draw fillings by this method; given only --steps, --temperature, --schedule or
    --set, by the model's own. Default: the likeliest ones, found by a beam search.
"""

NAMED = 3
"""Records that a note names."""


def command(
    model: str,
    texts: list[str] | None = None,
    *,
    file: Path | None = None,
    unknown: str | None = None,
    out: Path | None = None,
    top_k: int = 1,
    candidates: str | None = None,
    drawn: Drawn,
    opened: Opened,
    json: bool = False,
) -> None:
    """Fill in the masks of texts, all masks of a text together.

    Prints the likeliest filling of each text, or in a terminal a table of --top-k of them, the best
    first, with the joint probability of all tokens that were filled in.
    """
    if out is not None and json:
        raise InputError("--out writes fillings to a file, and --json to stdout: pass one of them")
    check_count("--top-k", top_k, InputError)
    outputs.checked_texts(out, file)
    rows = rows_of(texts, file, "text")
    rows = rows if unknown is None else fasta.hide(rows, unknown)
    text = open_text_model(model, opened)
    fasta.check_spelt([out] if out else [], model, text.encoding.letters)
    known = [] if unknown is None else fasta.without_unknown(rows, text.encoding)
    asked = [row for number, row in enumerate(rows) if number not in known]
    fasta.check_letters(asked, "text", text.encoding)
    filled = text.fill(
        [row["text"] for row in asked],
        top_k=top_k,
        candidates=candidates,
        strategy=strategy_of(text, drawn),
        seed=drawn.seed,
    )
    found = _with_known(rows, known, filled)
    if out is not None:
        _write(out, rows, found)
        screen.note((f"{screen.counted(len(rows), 'filled text')} in {out}", "bold"))
    elif json:
        screen.print_json({"model": model, "rows": _with_fillings(rows, found)})
    elif top_k == 1 and not (candidates or screen.is_terminal()):
        for every in found:
            typer.echo(every[0].sequence)
    else:
        _print_tables(rows, found)


def _with_known(
    rows: Sequence[Row], known: Sequence[int], filled: Sequence[list[Filling]]
) -> list[list[Filling]]:
    """Return the fillings of all rows: those of `known` as they are, which a note tells."""
    from unmask.text import Filling

    if known:
        names = ", ".join(repr(rows[number]["header"]) for number in known[:NAMED])
        more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        count = screen.counted(len(known), "record")
        screen.note((f"{count} without an unknown letter, as before: {names}{more}", "dim"))
    rest = iter(filled)
    return [
        [Filling(row["text"], [], [], 0.0)] if number in known else next(rest)
        for number, row in enumerate(rows)
    ]


def _with_fillings(rows: Sequence[Row], found: Sequence[Sequence[Filling]]) -> list[Row]:
    return [
        {**row, "fillings": [each.to_dict() for each in every]}
        for row, every in zip(rows, found, strict=True)
    ]


def _write(out: Path, rows: Sequence[Row], found: Sequence[Sequence[Filling]]) -> None:
    if not fasta.is_named_so(out):
        write_rows(out, _with_fillings(rows, found))
        return
    pairs = []
    for number, (row, every) in enumerate(zip(rows, found, strict=True), 1):
        header = row.get("header", str(number))
        pairs += [
            (fasta.numbered(header, n, len(every)), each.sequence) for n, each in enumerate(every)
        ]
    fasta.write(out, pairs)


def _print_tables(rows: Sequence[Row], found: Sequence[Sequence[Filling]]) -> None:
    for row, every in zip(rows, found, strict=True):
        title = Column(Text(row["header"] if "header" in row else row["text"]))
        table = Table("probability", "tokens", title, box=SIMPLE_HEAD)
        for each in every:
            table.add_row(f"{each.score:.3g}", Text(" ".join(each.token_strs)), Text(each.sequence))
        screen.out().print(table)
