"""Warping of a task's images during training. B examples, N positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unmask.core.random import Purpose, uniform


@dataclass(frozen=True)
class Warped:
    """Warping of a share of the examples, which changes linearly during training.

    Warped examples get classes of their own, so that the model can distinguish them from data:
    −1 and 0..classes−1 become classes..2·classes.
    """

    warp: Any  # (b,N), seeds (b,) -> (b,N)
    classes: int
    first: float  # share at the start
    last: float  # share at the end

    def __call__(
        self, tokens: Tensor, category: Tensor, seed: Tensor, progress: float
    ) -> tuple[Tensor, Tensor]:
        """Return tokens (B,N) and classes (B,) after warping. seed: (B,). progress: 0 to 1."""
        share = self.first + (self.last - self.first) * progress
        warped = uniform(seed, 0, 0, Purpose.AUGMENT)[..., 0] < share
        changed = self.warp(tokens[warped], seed[warped])
        tokens = tokens.masked_scatter(warped[:, None], changed)
        return tokens, category + warped * (1 + self.classes)
