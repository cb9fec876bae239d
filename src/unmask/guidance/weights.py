"""Weights of guidance, constant or changing from step to step (compared in 2404.13040).

Shapes: B rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unmask.core.checks import is_number
from unmask.errors import StrategyError


class Weight(Protocol):
    """A function (progress (B,), ratio (B,)) -> (B,): the weight of each row's step, all float64.

    progress is r = s/T in (0, 1], s the step being taken, counted from 1. ratio is the share of the
    open group's positions that are still unknown before it, 1 at its first step.
    """

    def __call__(self, progress: Tensor, ratio: Tensor) -> Tensor: ...


class _Numbers:
    """Base of weights whose fields are numbers."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_number(value):
                raise StrategyError(f"{name}={value!r}: pass a number, such as 2.0")


@dataclass(frozen=True)
class ConstantWeight(_Numbers):
    """The same weight at every step (2207.12598). `Guidance` makes one of a number."""

    weight: float

    def __call__(self, progress: Tensor, ratio: Tensor) -> Tensor:
        return torch.full_like(progress, self.weight)


@dataclass(frozen=True)
class LinearWeight(_Numbers):
    """w·r, from w/T at the first step to w at the last (Muse 2301.00704)."""

    weight: float

    def __call__(self, progress: Tensor, ratio: Tensor) -> Tensor:
        return self.weight * progress


@dataclass(frozen=True)
class RatioWeight(_Numbers):
    """γ·most + (1 − γ)·least, with γ the share still unknown (MAGNeT 2401.04577)."""

    most: float = 10.0
    least: float = 1.0

    def __call__(self, progress: Tensor, ratio: Tensor) -> Tensor:
        return ratio * self.most + (1 - ratio) * self.least


@dataclass(frozen=True)
class PowerCosineWeight(_Numbers):
    """w·(1 − cos(π·r^exponent))/2, near 0 in early steps and w at the last (MDT 2303.14389).

    exponent: 3 in TiTok (2406.07550); a larger one guides later. StrategyError unless above 0.
    """

    weight: float
    exponent: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exponent <= 0:
            raise StrategyError(f"exponent={self.exponent!r}: pass a number above 0, such as 3.0")

    def __call__(self, progress: Tensor, ratio: Tensor) -> Tensor:
        return self.weight * (1 - torch.cos(math.pi * progress**self.exponent)) / 2


def as_weight(weight: float | Weight) -> Weight:
    """Return a number as `ConstantWeight`, a function unchanged. Raises StrategyError otherwise."""
    if callable(weight) and not isinstance(weight, type):
        return weight
    if isinstance(weight, type):
        raise StrategyError(
            f"weight={weight.__name__} is a class: pass an instance, such as "
            "guidance.LinearWeight(3.0)"
        )
    return ConstantWeight(weight)


def weigh(weight: Weight, progress: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the weight of each row, (B,) float64, given progress and share, (B,) float64.

    Raises StrategyError unless the weight returns one finite number a row.
    """
    values = weight(torch.from_numpy(progress), torch.from_numpy(share))
    found = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else None
    if found is None or found.shape != progress.shape:
        kind = type(values).__name__ if found is None else found.shape
        raise StrategyError(
            f"{weight!r} returned {kind} for {len(progress)} rows: return a tensor with one number "
            "for each row"
        )
    if not np.isfinite(found).all():
        raise StrategyError(
            f"{weight!r} returned {found.tolist()} at progress {progress.tolist()}, ratio "
            f"{share.tolist()}: return finite numbers"
        )
    return found
