"""A built-in task: tokens to train on, tokens held out, and how to look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from unmask.errors import DataError, nearest
from unmask.tasks import digits, shidoku, sudoku
from unmask.tasks.warp import warp
from unmask.viz.layout import Layout


@dataclass(frozen=True, eq=False)
class Task:
    """B examples of N positions; labels (B,) are classes 0..classes−1, or None without classes."""

    name: str
    train: Tensor  # (B,N) int64
    held_out: Tensor  # (B,N) int64
    train_labels: Tensor | None
    held_out_labels: Tensor | None
    layout: Layout
    vocab_size: int
    mask_id: int
    classes: int = 0
    warp: Callable[[Tensor, Tensor], Tensor] | None = None  # (b,N), seeds (b,) -> (b,N)


def load_digits() -> Task:
    """scikit-learn's 8×8 digits, 17 levels, with their classes."""
    data = digits.load()
    return Task(
        name="digits",
        train=data.train_tokens,
        held_out=data.held_out_tokens,
        train_labels=data.train_labels,
        held_out_labels=data.held_out_labels,
        layout=Layout.image(digits.SIDE, digits.SIDE, digits.LEVELS),
        vocab_size=digits.VOCAB,
        mask_id=digits.MASK_ID,
        classes=digits.CLASSES,
        warp=warp,
    )


def load_shidoku() -> Task:
    """The 288 grids of 4×4 sudoku."""
    train, held_out = shidoku.split()
    return Task(
        name="shidoku",
        train=train,
        held_out=held_out,
        train_labels=None,
        held_out_labels=None,
        layout=Layout.board(shidoku.SIDE, shidoku.SIDE, "1234", box=(shidoku.BOX, shidoku.BOX)),
        vocab_size=shidoku.VOCAB,
        mask_id=shidoku.MASK_ID,
    )


@cache
def load_sudoku() -> Task:
    """9×9 sudoku: random grids, generated when asked for."""
    train, held_out = sudoku.split()
    return Task(
        name="sudoku",
        train=train,
        held_out=held_out,
        train_labels=None,
        held_out_labels=None,
        layout=Layout.board(sudoku.SIDE, sudoku.SIDE, "123456789", box=(sudoku.BOX, sudoku.BOX)),
        vocab_size=sudoku.VOCAB,
        mask_id=sudoku.MASK_ID,
    )


TASKS: dict[str, Callable[[], Task]] = {
    "digits": load_digits,
    "shidoku": load_shidoku,
    "sudoku": load_sudoku,
}


def task(name: str) -> Task:
    """A built-in task by name. Raises DataError that lists the known ones."""
    if name not in TASKS:
        raise DataError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name]()
