"""Measurements of `compare` for each task: figures of merit, each with its forwards.

B rows, N positions. A new task is a function that measures one strategy, and a row in BENCHES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from unmask.core.network import Denoiser
from unmask.decoding import Strategy
from unmask.errors import DataError
from unmask.evaluation.boards import BLANKS, CLUES, SHIDOKU, SUDOKU, Boards, posed
from unmask.evaluation.digits import draw, recognised, told_apart
from unmask.evaluation.figures import Figure, Quality, mean, share
from unmask.evaluation.judges import FOLDS
from unmask.tasks import digits

_APART = 1_000_000  # rows of different seeds share no seed

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


def _at(strategy: Strategy, temperature: float) -> Strategy:
    return strategy.but(sampling=replace(strategy.sampling, temperature=temperature))


def _sampling(strategy: Strategy) -> Strategy:
    """The same strategy at temperature 1 if it was at 0, where all rows would come out equal."""
    return _at(strategy, 1.0) if strategy.sampling.temperature == 0 else strategy


def _seeds(seed: int, count: int) -> Tensor:
    return seed * _APART + torch.arange(count)


def _on_boards(
    kind: Boards, model: Denoiser, strategy: Strategy, samples: int, seed: int, tempered: bool
) -> dict[str, Figure]:
    """Boards from nothing, and as many puzzles."""
    # A puzzle has one solution, so the likeliest tokens are drawn.
    sampler, solver = (strategy,) * 2 if tempered else (_sampling(strategy), _at(strategy, 0.0))
    seeds = _seeds(seed, samples)
    free = kind.play(model, sampler, seeds)
    solved = kind.play(model, solver, seeds, posed(kind, samples))
    assert solved.exact is not None
    return {
        "valid": share(free.valid, free.forwards),
        "exact": share(solved.exact, solved.forwards),
    }


def _digits(
    model: Denoiser, strategy: Strategy, samples: int, seed: int, tempered: bool
) -> dict[str, Figure]:
    """Images with classes dealt out evenly, held against as many real ones and a classifier."""
    labels = torch.arange(samples) % digits.CLASSES
    sampler = strategy if tempered else _sampling(strategy)
    made = draw(model, sampler, _seeds(seed, samples), labels)
    tested, judged = told_apart(made.tokens, seed), recognised(made.tokens, labels)
    spent = mean(made.forwards)
    return {
        "two_sample": Figure(tested.accuracy, tested.standard_error, spent),
        "class_accuracy": Figure(judged.accuracy, judged.standard_error, spent),
    }


def _on(kind: Boards, puzzles: str, steps: tuple[int, ...], samples: int) -> Bench:
    qualities = (
        Quality("valid", "valid boards, from nothing"),
        Quality("exact", f"solved {puzzles} of held-out grids"),
    )
    return Bench(qualities, partial(_on_boards, kind), steps, samples)


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
