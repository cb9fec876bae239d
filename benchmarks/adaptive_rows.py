"""Rows that need very different numbers of forwards: does a batch cost what its open rows cost?

    python benchmarks/adaptive_rows.py [--blanks 20 30 40 50 64 81] [--rows 10] [--threshold 0.99]
        [--repeats 5] [--threads 2]

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
from collections.abc import Callable
from typing import Any

import torch
from _machine import about
from _report import Report, Rows, arguments, count, parsed
from _timing import measured, threads
from torch import Tensor

import unmask
from unmask import presets
from unmask.core.network import Query
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


def measure(report: Report, kinds: Rows, options: argparse.Namespace) -> None:
    """A row of each thing that can be measured of the batch."""
    model: Any = unmask.load("sudoku")
    canvas = canvas_of(options.blanks, options.rows)
    strategy = presets.threshold(options.threshold, block=None)
    made = unmask.run(model, canvas, strategy, seed=0)
    batch, slowest = len(canvas.tokens), int(made.forwards.max())

    def forward() -> None:
        hidden, _ = model.forward(Query.of(canvas.tokens), None)
        model.logits(hidden.flatten(0, 1))

    def kept() -> None:
        for _ in range(slowest):
            forward()

    calls: dict[str, Callable[[], object]] = {
        "forward": forward,
        "batch": lambda: unmask.run(model, canvas, strategy, seed=0),
        "kept": kept,
    }
    times = measured(calls, options.repeats)
    price = times["forward"].median / batch
    report.add(
        batch,
        made.forwards.double().mean().item(),
        slowest,
        times["batch"].over(price * int(made.forwards.sum())),
        times["batch"].over(price * batch * slowest),
        times["kept"].median / times["batch"].median,
    )
    fill(kinds, len(options.blanks), made)


def fill(table: Rows, kinds: int, made: unmask.Generation) -> None:
    """What each kind of puzzle took, and how many came out valid; rows of a kind are `kinds` apart.

    A puzzle may have fewer blanks than asked for: see `sudoku.puzzles`.
    """
    blanks, valid = made.editable.sum(1), sudoku.is_valid(made.tokens)
    for first in range(kinds):
        rows = slice(first, None, kinds)
        hidden, took, solved = (part[rows].double() for part in (blanks, made.forwards, valid))
        means = (hidden.mean().item(), took.mean().item())
        table.add(len(took), *means, int(took.max()), solved.mean().item())


def main() -> None:
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--blanks", type=count, nargs="+", default=[20, 30, 40, 50, 64, 81])
    parser.add_argument("--rows", type=count, default=10, help="of each number of blanks")
    parser.add_argument("--threshold", type=float, default=0.99)
    options = parsed(parser, blanks=[20, 50], rows=2)
    threads(options.threads)
    columns = ["rows", "mean forwards", "max forwards", "over its forwards", "over the slowest"]
    title = f"sudoku, threshold {options.threshold:g}: median (least–most)"
    report = Report("adaptive_rows", about(), [*columns, "kept to the end / it"], title)
    columns = ["rows", "mean blanks", "mean forwards", "max forwards", "valid"]
    measure(report, report.table("by blanks", columns), options)
    report.finish(options)


if __name__ == "__main__":
    main()
