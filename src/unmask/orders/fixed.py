"""Orders that do not read the model's output: random, reveal times, left to right, Halton."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.core.arrays import arange
from unmask.core.checks import first_of_other_length, is_integer
from unmask.core.random import Purpose, reveal_uniform
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.orders.base import Order


@dataclass(frozen=True)
class Random(Order):
    """Uniformly chosen positions; with one position a step the law is exactly the model's."""

    blind = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return state.uniform(Purpose.ORDER)


@dataclass(frozen=True)
class RevealTime(Order):
    """A time for each position, drawn once per row: the order for `commit.Ancestral`."""

    blind = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        return reveal_uniform(state.seed, state.tokens.shape[1])


@dataclass(frozen=True)
class LeftToRight(Order):
    """Lowest position first."""

    blind = True

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        length = state.tokens.shape[1]
        return -arange(length, state.device).float().expand(len(state), length)


@dataclass(frozen=True)
class Halton(Order):
    """Halton (2,3) order on a (height, width) grid, row-major (2503.17076, Algorithm 1)."""

    height: int
    width: int
    blind = True

    def __post_init__(self) -> None:
        _check_sides(self.height, self.width)

    def check_lengths(self, lengths: np.ndarray) -> None:
        cells = self.height * self.width
        row = first_of_other_length(lengths, cells)
        if row is not None:
            raise StrategyError(
                f"Halton({self.height}, {self.width}) orders {cells} positions but row {row} has "
                f"{lengths[row]}: pass a height and width whose product is {lengths[row]}"
            )

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        score = _halton_score(self.height, self.width, state.tokens.device)
        return pad(score, (0, state.tokens.shape[1] - len(score))).expand(len(state), -1)


@lru_cache(maxsize=16)
def _halton_score(height: int, width: int, device: torch.device) -> Tensor:
    """(height·width,) float32."""
    with torch.inference_mode(False):
        return -halton_rank(height, width).to(device).float()


def halton_rank(height: int, width: int) -> Tensor:
    """Return (height·width,) int64: the rank at which the Halton sequence visits each cell.

    Base 2 gives the row, base 3 the column. Points that fall into a
    visited cell are skipped. Raises StrategyError for sides below 1.
    """
    _check_sides(height, width)
    cells = height * width
    rank: dict[int, int] = {}
    point = 1
    while len(rank) < cells:
        row, column = _radical(point, 2, height), _radical(point, 3, width)
        rank.setdefault(row * width + column, len(rank))
        point += 1
    return torch.tensor([rank[cell] for cell in range(cells)])


def _check_sides(height: int, width: int) -> None:
    if not (is_integer(height, 1) and is_integer(width, 1)):
        raise StrategyError(
            f"Halton({height!r}, {width!r}): pass a height and width of 1 or more, in whole numbers"
        )


def _radical(index: int, base: int, cells: int) -> int:
    """⌊cells · radical inverse⌋: the digits of index mirrored behind the point, in integers."""
    mirrored, scale = 0, 1
    while index:
        index, digit = divmod(index, base)
        mirrored, scale = mirrored * base + digit, scale * base
    return cells * mirrored // scale
