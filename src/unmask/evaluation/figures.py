"""Figures of merit: of what settings, what they are called, and how sure they are. B rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unmask.decoding import Strategy

BATCH = 500  # rows drawn at once, as many as fit a processor's cache

Row = dict[str, Any]
"""A row of a table, by column."""

Plan = Iterator[tuple[str, Callable[[], Row]]]
"""Measurements with their names, in turn."""


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


def mean(values: Tensor) -> float:
    """Return the mean of numbers or flags (B,)."""
    return float(values.double().mean())


def share(hits: Tensor, forwards: Tensor) -> Figure:
    """Return the share of rows (B,) bool that hit, with its error."""
    value = mean(hits)
    return Figure(value, share_error(value, len(hits)), mean(forwards))


def share_error(value: float, count: int) -> float:
    """Return the standard error of a share of `count` rows, which is binomial.

    Where all rows or none hit, the error is not 0 but 1/(count + 1): a share beyond the last one
    that `count` rows can tell from it.
    """
    if value in (0, 1):
        return 1 / (count + 1)
    error: float = (value * (1 - value) / count) ** 0.5
    return error


@dataclass(frozen=True)
class Setting:
    """One strategy to measure: a preset's name, the options that were chosen, what they made."""

    preset: str
    options: Mapping[str, Any]
    strategy: Strategy

    @property
    def label(self) -> str:
        """`steps=8`, or `keep=0.3 steps=8`; empty where everything is as the preset has it."""
        return " ".join(f"{key}={json.dumps(value)}" for key, value in self.options.items())


@dataclass(frozen=True)
class Terms:
    """Values that figures of one picture have in common."""

    task: str
    fingerprint: str  # of the model
    seed: int
    samples: int
