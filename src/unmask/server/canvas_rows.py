"""Rows of a canvas, of any model, for a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unmask.decoding import Canvas, Strategy
from unmask.engine import Engine
from unmask.server.job import Array


@dataclass(frozen=True)
class CanvasRows:
    """B rows that are given but for some positions, and the strategy that generates those.

    seeds: (B,) int64. Rows are those of `unmask.run` with this canvas, strategy and seeds.
    """

    canvas: Canvas
    strategy: Strategy
    seeds: Tensor

    @cached_property
    def lengths(self) -> Sequence[int]:
        """Positions of each row."""
        found: list[int] = self.canvas.valid.sum(1).tolist()
        return found

    def submit(self, engine: Engine, numbers: Sequence[int]) -> Array:
        """Hand some rows to an engine; return their ids there."""
        chosen = torch.tensor(numbers, dtype=torch.int64)
        return engine.submit(self.canvas.take(chosen), self.strategy, self.seeds[chosen])
