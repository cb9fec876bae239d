"""Warping a task's images while it trains. B examples, N positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unmask.core.random import Purpose, uniform


@dataclass(frozen=True)
class Warped:
    """Some examples are warped, fewer towards the end of training.

    Warped ones are of classes of their own, 1 + classes further on, so that the model can tell
    them from the data: −1 and 0..classes−1 become classes..2·classes.
    """

    warp: Any  # (b,N), seeds (b,) -> (b,N)
    classes: int
    first: float  # share at the start
    last: float  # share at the end

    def __call__(
        self, tokens: Tensor, category: Tensor, seed: Tensor, progress: float
    ) -> tuple[Tensor, Tensor]:
        """tokens (B,N), category (B,), by each example's own seed (B,)."""
        share = self.first + (self.last - self.first) * progress
        warped = uniform(seed, 0, 0, Purpose.AUGMENT)[..., 0] < share
        changed = self.warp(tokens[warped], seed[warped])
        tokens = tokens.masked_scatter(warped[:, None], changed)
        return tokens, category + warped * (1 + self.classes)
