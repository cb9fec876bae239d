"""Rows of a canvas, of any model, for a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unmask.core.network import Denoiser
from unmask.decoding import Canvas, Strategy, init
from unmask.engine import Begun
from unmask.errors import CanvasError
from unmask.server.problems import Problem


@dataclass(frozen=True)
class CanvasRows:
    """B rows that are given but for some positions, and the strategy that generates those.

    denoiser: the network. seeds: (B,) int64. Rows are those of `unmask.run` with this canvas,
    strategy and seeds. form: the field of the request that has the rows.
    """

    denoiser: Denoiser
    canvas: Canvas
    strategy: Strategy
    seeds: Tensor
    form: str

    @cached_property
    def lengths(self) -> Sequence[int]:
        """Positions of each row."""
        found: list[int] = self.canvas.valid.sum(1).tolist()
        return found

    def begin(self, numbers: Sequence[int]) -> list[Begun]:
        """Return some rows before their first step.

        Raises a Problem for rows that cannot be, and what else `init` raises.
        """
        if not numbers:
            return []
        chosen = torch.tensor(numbers, dtype=torch.int64)
        try:
            state = init(self.denoiser, self.canvas.take(chosen), self.strategy, self.seeds[chosen])
        except CanvasError as error:
            raise Problem(400, str(error), param=self.form) from error
        return [Begun(numbers, state, self.strategy)]
