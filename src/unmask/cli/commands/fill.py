"""`unmask fill`: the masks of texts."""

from __future__ import annotations

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unmask.cli.options import Opened
from unmask.cli.runs.text_job import (
    MODEL,
    Drawn,
    lines_of,
    open_text_model,
    strategy_of,
)
from unmask.cli.ui.screen import is_terminal, out, print_json

EXAMPLES = [
    ("One word", "unmask fill google-bert/bert-base-uncased 'Paris is the [MASK] of France.'"),
    ("Five words that belong together", "unmask fill MODEL 'The [MASK:2] of [MASK:3].' --top-k 5"),
    ("Lengths from one to six", "unmask fill MODEL 'She said [MASK] .' --candidates 1-6"),
]
OPTIONS = f"""
{MODEL}
TEXTS: Texts with [MASK] where a token is unknown, [MASK:3] for three; without them, lines of
    standard input.
--top-k K: Fillings of each text.
--candidates LENGTHS: Lengths of the only mask to try, such as 1-6.
--preset NAME: Draw the fillings by this method. Default: the likeliest, found by a beam.
"""


def command(
    model: str,
    texts: list[str] | None = None,
    *,
    top_k: int = 1,
    candidates: str | None = None,
    drawn: Drawn,
    opened: Opened,
    json: bool = False,
) -> None:
    """Fill in the masks of texts, all masks of a text together.

    Fillings are the likeliest first; their joint probability stands before them.
    """
    lines = lines_of(texts)
    text = open_text_model(model, opened)
    found = text.fill(
        lines,
        top_k=top_k,
        candidates=candidates,
        strategy=strategy_of(text, drawn),
        seed=drawn.seed,
    )
    if json:
        rows = [
            {"text": line, "fillings": [each.to_dict() for each in every]}
            for line, every in zip(lines, found, strict=True)
        ]
        print_json({"model": model, "rows": rows})
    elif top_k == 1 and not (candidates or is_terminal()):
        for every in found:
            typer.echo(every[0].sequence)
    else:
        for line, every in zip(lines, found, strict=True):
            table = Table("probability", "tokens", line, box=SIMPLE_HEAD)
            for each in every:
                table.add_row(
                    f"{each.score:.3g}", Text(" ".join(each.token_strs)), Text(each.sequence)
                )
            out().print(table)
