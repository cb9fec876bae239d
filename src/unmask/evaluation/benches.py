"""Measurements of `compare` for each task: figures of merit, each with its forwards.

B rows, N positions. A new task is a function that measures one strategy, and a row in BENCHES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from unmask.core.network import Denoiser
from unmask.decoding import Canvas, Strategy
from unmask.engine.run import run
from unmask.errors import DataError
from unmask.evaluation.accuracy import class_accuracy
from unmask.evaluation.shares import share_error
from unmask.evaluation.two_sample import FOLDS, two_sample
from unmask.tasks import digits, shidoku, sudoku

CLUES = 5
BLANKS = 50
BATCH = 500
_APART = 1_000_000  # rows of different seeds share no seed


@dataclass(frozen=True)
class Quality:
    """A figure of merit."""

    key: str  # the column
    title: str  # what is measured, in words
    higher_is_better: bool = True
    ideal: float = 1.0  # what a perfect generator gets


@dataclass(frozen=True)
class Figure:
    """The result of a strategy, and its cost."""

    value: float
    error: float  # standard error
    forwards: float  # mean network passes of a row


# (model, strategy, samples, seed, tempered) -> figures by key; tempered: the caller chose a
# temperature, so that puzzles are not drawn greedily, nor samples of greedy presets at 1.
Measure = Callable[[Denoiser, Strategy, int, int, bool], dict[str, Figure]]


@dataclass(frozen=True)
class Bench:
    """The measurement of the strategies of a task."""

    qualities: tuple[Quality, ...]
    measure: Measure
    steps: tuple[int, ...]  # what presets with steps are swept over
    samples: int = 1000
    fewest: int = 1
    most: int = 10_000

    def check_samples(self, samples: int) -> None:
        """Raise DataError for a number of rows that cannot be judged."""
        if not self.fewest <= samples <= self.most:
            raise DataError(
                f"samples={samples}: this task is measured on {self.fewest} to {self.most} rows; "
                f"the default is {self.samples}"
            )


def drawn(model: Denoiser, canvas: Canvas, strategy: Strategy, seed: int) -> tuple[Tensor, Tensor]:
    """Tokens (B,N) and forwards (B,), in batches that fit the cache; a row notices no other."""
    tokens, forwards = [], []
    for start in range(0, len(canvas.tokens), BATCH):
        rows = slice(start, start + BATCH)
        part = Canvas(
            canvas.tokens[rows],
            canvas.editable[rows],
            canvas.valid[rows],
            None if canvas.condition is None else canvas.condition[rows],
        )
        seeds = [seed * _APART + start + row for row in range(len(part.tokens))]
        result = run(model, part, strategy, seeds=seeds)
        tokens.append(result.tokens)
        forwards.append(result.forwards)
    return torch.cat(tokens), torch.cat(forwards)


def solving(strategy: Strategy) -> Strategy:
    """The same strategy drawing the likeliest tokens: a puzzle has one solution."""
    return strategy.but(sampling=replace(strategy.sampling, temperature=0.0))


def sampling(strategy: Strategy) -> Strategy:
    """The same strategy at temperature 1 if it was at 0, where all rows would come out equal."""
    if strategy.sampling.temperature != 0:
        return strategy
    return strategy.but(sampling=replace(strategy.sampling, temperature=1.0))


def share(hits: Tensor, forwards: Tensor) -> Figure:
    """The share of rows (B,) bool that hit, with its binomial error."""
    p = float(hits.double().mean())
    return Figure(p, share_error(p, len(hits)), float(forwards.double().mean()))


@dataclass(frozen=True)
class Puzzles:
    """The parts of a task of puzzles with one solution."""

    cells: int
    is_valid: Callable[[Tensor], Tensor]  # boards (B,N) -> bool (B,)
    held_out: Callable[[], Tensor]  # (G,N) solved boards
    hide: Callable[[Tensor, int], tuple[Tensor, Tensor]]  # boards, seed -> puzzles, known (B,N)


@lru_cache(maxsize=2)
def posed(task: Puzzles, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Solutions, puzzles and which cells are known, (count,N) each, of held-out boards in turn.

    The same for every seed of a comparison, which is for what is drawn.
    """
    boards = task.held_out()
    rounds = -(-count // len(boards))
    parts = [task.hide(boards[: count - r * len(boards)], r) for r in range(rounds)]
    puzzles, known = (torch.cat(part) for part in zip(*parts, strict=True))
    return boards.repeat(rounds, 1)[:count], puzzles, known


def _on_puzzles(
    task: Puzzles, model: Denoiser, strategy: Strategy, samples: int, seed: int, tempered: bool
) -> dict[str, Figure]:
    """Boards from nothing, and as many puzzles."""
    sampler, solver = (strategy, strategy) if tempered else (sampling(strategy), solving(strategy))
    boards, spent = drawn(model, Canvas.blank(samples, task.cells), sampler, seed)
    solutions, puzzles, known = posed(task, samples)
    solved, passes = drawn(model, Canvas.infill(puzzles, ~known), solver, seed)
    return {
        "valid": share(task.is_valid(boards), spent),
        "exact": share((solved == solutions).all(1), passes),
    }


def _digits(
    model: Denoiser, strategy: Strategy, samples: int, seed: int, tempered: bool
) -> dict[str, Figure]:
    """Images with classes dealt out evenly, held against as many real ones and a classifier."""
    data = digits.load()
    labels = torch.arange(samples) % digits.CLASSES
    canvas = Canvas.blank(samples, digits.PIXELS, condition=labels)
    sampler = strategy if tempered else sampling(strategy)
    images, forwards = drawn(model, canvas, sampler, seed)
    real = torch.cat([data.train_tokens, data.held_out_tokens])
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    tested = two_sample(images, real[order[:samples]], seed)
    judged = class_accuracy(
        images,
        labels,
        train_tokens=data.train_tokens,
        train_labels=data.train_labels,
        held_out_tokens=data.held_out_tokens,
        held_out_labels=data.held_out_labels,
    )
    spent = float(forwards.double().mean())
    return {
        "two_sample": Figure(tested.accuracy, tested.standard_error, spent),
        "class_accuracy": Figure(judged.accuracy, judged.standard_error, spent),
    }


SHIDOKU = Puzzles(
    shidoku.CELLS,
    shidoku.is_valid,
    held_out=lambda: shidoku.split()[1],
    hide=lambda boards, seed: shidoku.puzzles(boards, CLUES, seed),
)

SUDOKU = Puzzles(
    sudoku.CELLS,
    sudoku.is_valid,
    held_out=sudoku.held_out,
    hide=lambda boards, seed: sudoku.puzzles(boards, BLANKS, seed),
)


def _on(task: Puzzles, puzzles: str, steps: tuple[int, ...], samples: int) -> Bench:
    qualities = (
        Quality("valid", "valid boards, from nothing"),
        Quality("exact", f"solved {puzzles} of held-out grids"),
    )
    return Bench(qualities, partial(_on_puzzles, task), steps, samples)


BENCHES: dict[str, Bench] = {
    "digits": Bench(
        qualities=(
            Quality("two_sample", "told from real images (0.5: cannot be)", False, 0.5),
            Quality("class_accuracy", "recognised as the class asked for"),
        ),
        measure=_digits,
        steps=(1, 4, 8, 16, 32),
        samples=500,
        fewest=FOLDS,
        most=1797,  # real images there are
    ),
    "shidoku": _on(SHIDOKU, f"{CLUES}-clue puzzles", steps=(1, 2, 4, 8, 16), samples=1000),
    "sudoku": _on(SUDOKU, f"puzzles of {BLANKS} blanks", steps=(1, 4, 16, 81), samples=300),
}
