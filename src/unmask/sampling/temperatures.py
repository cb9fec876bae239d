"""The temperatures of queried positions: one for all, or one each. Shapes: M positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from unmask.core.inversion import COLD


@dataclass(frozen=True)
class Temperatures:
    """value: one number ≥ 0, or (M,) float32. some_greedy: whether one of them is below COLD."""

    value: float | Tensor
    some_greedy: bool

    @classmethod
    def constant(cls, value: float) -> Temperatures:
        """One temperature for all positions."""
        return cls(value, value < COLD)

    @property
    def always_greedy(self) -> bool:
        """Whether every draw is the likeliest id, known without looking."""
        return not isinstance(self.value, Tensor) and self.value < COLD

    @cached_property
    def greedy(self) -> Tensor | None:
        """(M,) bool: where the likeliest id is drawn; None where that is nowhere or everywhere."""
        if self.some_greedy and isinstance(self.value, Tensor):
            return self.value < COLD
        return None

    @cached_property
    def rate(self) -> float | Tensor:
        """1/temperature, 1 where it is greedy: one number, or (M,1)."""
        if not isinstance(self.value, Tensor):
            return 1.0 if self.always_greedy else float(1 / np.float32(self.value))
        warm = self.value if self.greedy is None else self.value.masked_fill(self.greedy, 1.0)
        return (1 / warm).unsqueeze(1)

    def take(self, part: slice) -> Temperatures:
        """These positions alone."""
        if not isinstance(self.value, Tensor):
            return self
        return Temperatures(self.value[part], self.some_greedy)
