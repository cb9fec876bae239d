"""Rows that need very different numbers of forwards: does a batch cost what its open rows cost?

    python benchmarks/adaptive_rows.py [--blanks 20 30 40 50 64 81] [--rows 10] [--threshold 0.9]
        [--repeats 3] [--threads 2] [--json FILE]

The bundled sudoku model solves one batch of puzzles of held-out grids, as many of each number of
blanks (81: a grid from nothing), by the preset `threshold`: as many forwards a row as there is
doubt. A forward of one row is a bare forward of the whole batch, logits of all positions included,
divided by B. "Over its forwards" is the time of the batch over that price times the forwards of all
rows, what a loop would cost that drops finished rows and for which small batches are no dearer a
row; "over the slowest" is the same time over that price times B times the most forwards of any row,
what the forwards of a loop alone cost that keeps every row to the end. The second is far below 1
where finished rows leave. "Kept to the end" is such a loop, measured: as many bare forwards of the
whole batch as the slowest row needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import report
from _timing import measured
from torch import Tensor

import unmask
from unmask import presets
from unmask.tasks import sudoku


def canvas_of(blanks: list[int], rows: int) -> unmask.Canvas:
    """`rows` puzzles of each number of blanks, mixed: row i has blanks[i % len(blanks)]."""
    grids = sudoku.held_out()[:rows]
    kinds = [_puzzles(grids, count) for count in blanks]
    tokens = torch.stack(kinds, 1).flatten(0, 1)
    return unmask.Canvas.infill(tokens, tokens == sudoku.MASK_ID)


def _puzzles(grids: Tensor, blanks: int) -> Tensor:
    if blanks == sudoku.CELLS:
        return torch.full_like(grids, sudoku.MASK_ID)
    return sudoku.puzzles(grids, blanks)[0]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for the batch."""
    model: Any = unmask.load("sudoku")
    canvas = canvas_of(options.blanks, options.rows)
    strategy = presets.threshold(options.threshold, block=None)
    made = unmask.run(model, canvas, strategy, seed=0)
    batch, forwards = len(canvas.tokens), made.forwards
    slowest = int(forwards.max())

    def forward() -> Tensor:
        hidden, _ = model.hidden(canvas.tokens, valid=canvas.valid, memory=None)
        return model.logits(hidden.flatten(0, 1))

    def kept() -> None:
        for _ in range(slowest):
            forward()

    with torch.no_grad():
        times = measured(
            {
                "forward": forward,
                "batch": lambda: unmask.run(model, canvas, strategy, seed=0),
                "kept": kept,
            },
            options.repeats,
        )
    price = times["forward"] / batch
    _tell(len(options.blanks), made)
    return [
        {
            "rows": batch,
            "mean forwards": forwards.double().mean().item(),
            "max forwards": slowest,
            "over its forwards": times["batch"] / (price * int(forwards.sum())),
            "over the slowest": times["batch"] / (price * batch * slowest),
            "kept to the end": times["kept"] / times["batch"],
        }
    ]


def _tell(kinds: int, made: unmask.Generation) -> None:
    """What each kind of puzzle took, and how many came out valid; rows of a kind are `kinds` apart.

    A puzzle may have fewer blanks than asked for: see `sudoku.puzzles`.
    """
    blanks, valid = made.editable.sum(1), sudoku.is_valid(made.tokens)
    for first in range(kinds):
        rows = slice(first, None, kinds)
        hidden, took, solved = (part[rows].double() for part in (blanks, made.forwards, valid))
        print(
            f"{hidden.mean():.1f} blanks: {took.mean():.1f} forwards on average, "
            f"{took.max():.0f} at most, {solved.mean():.0%} valid"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blanks", type=int, nargs="+", default=[20, 30, 40, 50, 64, 81])
    parser.add_argument("--rows", type=int, default=10, help="of each number of blanks")
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(about())
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
