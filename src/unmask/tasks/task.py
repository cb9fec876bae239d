"""A built-in task: tokens to train on, tokens held out, and how to look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from torch import Tensor

from unmask.errors import DataError, nearest
from unmask.tasks import digits, shidoku, sudoku
from unmask.tasks.boards import Board
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


def _load_boards(name: str, board: Board, split: Callable[[], tuple[Tensor, Tensor]]) -> Task:
    """Boards without classes."""
    train, held_out = split()
    symbols = "".join(str(digit + 1) for digit in range(board.side))
    layout = Layout.board(board.side, board.side, symbols, box=(board.box, board.box))
    return Task(name, train, held_out, None, None, layout, board.side + 1, board.mask_id)


TASKS: dict[str, Callable[[], Task]] = {
    "digits": load_digits,
    "shidoku": partial(_load_boards, "shidoku", shidoku.BOARD, shidoku.split),
    "sudoku": cache(partial(_load_boards, "sudoku", sudoku.BOARD, sudoku.split)),
}
RULES: dict[str, Board] = {"shidoku": shidoku.BOARD, "sudoku": sudoku.BOARD}
"""The tasks that are puzzles."""


def task(name: str) -> Task:
    """A built-in task by name. Raises DataError that lists the known ones."""
    if name not in TASKS:
        raise DataError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name]()
