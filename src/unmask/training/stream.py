"""The order of examples: item n is the n-th example of the whole run, on any process.

All random numbers of training are functions of (run seed, n), so the data do not depend on the
number of processes, workers or accumulated pieces, nor on interruptions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from unmask.core.random import Purpose, fold, uniform
from unmask.data import Example

SEEDS = 2**32  # of a run; numpy's generator, which Trainer seeds, takes no more
Draw = tuple[int, Example]


class Draws(Dataset[Draw]):
    """A dataset of `total` draws: every epoch has all examples, in a random order of its own.

    Item n is (n, example).
    """

    def __init__(self, examples: Sequence[Example], total: int, seed: int):
        self.examples, self.total, self.seed = examples, total, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, n: int) -> Draw:
        epoch, place = divmod(n, len(self.examples))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, shuffled(len(self.examples), self.seed, epoch)
        return n, self.examples[int(self._order[place])]


def shuffled(size: int, seed: int, epoch: int) -> Tensor:
    """Return (size,) int64: the order of one epoch, a function of its arguments alone."""
    root = fold(seed, torch.tensor([epoch]), int(Purpose.SHUFFLE))
    return uniform(root, 0, torch.arange(size), Purpose.SHUFFLE)[:, 0].argsort(stable=True)


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of the numbers below `count`, spread evenly."""
    fewer = min(count, most)
    return [i * count // fewer for i in range(fewer)]


def seed_after(seed: int, taken: int) -> int:
    """Return the seed of steps that follow on `taken` steps of a finished run."""
    if not taken:
        return seed
    return int(fold(seed, torch.tensor([taken]))[0]) % SEEDS
