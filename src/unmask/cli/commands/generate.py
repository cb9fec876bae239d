"""`unmask generate`: whole rows."""

from __future__ import annotations

from unmask.cli.io.canvas_input import Given
from unmask.cli.io.models import Model
from unmask.cli.options import Opened
from unmask.cli.runs.generation_job import Asked, check_size, prepare_job
from unmask.cli.ui.screen import print_json, print_texts
from unmask.core.checks import check_count
from unmask.errors import CanvasError, InputError

EXAMPLES = [
    ("Sixteen digits, drawn step by step", "unmask generate digits"),
    (
        "Threes and eights in 64 steps, as a picture and an animation",
        "unmask generate digits --preset random_order --steps 64 --class 3 --class 8 "
        "--out digits.png --out digits.gif",
    ),
    (
        "A thousand boards as JSON",
        "unmask generate shidoku -n 1000 --preset confidence --seed 7 --json",
    ),
]


OPTIONS = """
--number, -n N: Rows to generate.
--length N: Positions of each row, for a model without a fixed length.
"""


def command(
    model: str,
    *,
    number: int = 16,
    length: int | None = None,
    asked: Asked,
    opened: Opened,
    json: bool = False,
) -> None:
    """Generate whole rows.

    All positions are unknown at first, and each step commits some; a terminal shows every step. A
    tokenizer's special tokens are put around each row, and are none of its positions.
    """
    check_count("--number", number, InputError)
    job = prepare_job(model, asked, opened, as_json=json)
    before, after = around = job.model.around
    positions = _positions(job.model, length)
    check_size(number, positions)
    given = Given([[*before, *[None] * positions, *after]] * number, "ids", around)
    result = job.run(given.canvas(job.model.condition(asked.class_, number)), around)
    if json:
        print_json(result.as_json())
    elif job.model.vocabulary is not None:
        print_texts(result.text() or [])
        result.print_summary()
    else:
        result.show()


def _positions(model: Model, asked: int | None) -> int:
    own = model.card.length
    if own is not None:
        own -= sum(map(len, model.around))
    length = own if asked is None else asked
    if length is None:
        raise InputError(f"{model.name} has no fixed length: type one, such as --length 64")
    if own not in (None, length) and model.layout.kind != "text":
        raise InputError(
            f"--length {length}: {model.name} generates {own} positions only; leave --length out"
        )
    check_count("length", length, CanvasError)
    return length
