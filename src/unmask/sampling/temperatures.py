"""The temperatures of queried positions: one for all, or one each. Shapes: M positions."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from unmask.core.inversion import COLD


class Temperatures:
    """The temperatures (M,) of a draw.

    value: one number ≥ 0, or (M,) float32. some_greedy: whether one of them is below COLD.
    always_greedy: every draw is the likeliest id, known without looking. greedy: (M,) bool, where
    the likeliest id is drawn; None where that is nowhere or everywhere. rate: 1/temperature, 1
    where it is greedy, one number or (M,1).
    """

    def __init__(self, value: float | Tensor, some_greedy: bool):
        self.value, self.some_greedy = value, some_greedy
        self.greedy: Tensor | None = None
        self.rate: float | Tensor
        if isinstance(value, Tensor):
            self.always_greedy = False
            self.greedy = value < COLD if some_greedy else None
            warm = value if self.greedy is None else value.masked_fill(self.greedy, 1.0)
            self.rate = (1 / warm).unsqueeze(1)
        else:
            self.always_greedy = some_greedy
            self.rate = 1.0 if some_greedy else float(1 / np.float32(value))

    def take(self, part: slice) -> Temperatures:
        """These positions alone."""
        if not isinstance(self.value, Tensor):
            return self
        return Temperatures(self.value[part], self.some_greedy)
