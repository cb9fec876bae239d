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


@dataclass(frozen=True)
class CanvasRows:
    """B rows that are given but for some positions, and the strategy that generates those.

    denoiser: the network. seeds: (B,) int64. Rows are those of `unmask.run` with this canvas,
    strategy and seeds.
    """

    denoiser: Denoiser
    canvas: Canvas
    strategy: Strategy
    seeds: Tensor

    @cached_property
    def lengths(self) -> Sequence[int]:
        """Positions of each row."""
        found: list[int] = self.canvas.valid.sum(1).tolist()
        return found

    def begin(self, numbers: Sequence[int]) -> list[Begun]:
        """Return some rows before their first step. Raises what `init` raises."""
        if not numbers:
            return []
        chosen = torch.tensor(numbers, dtype=torch.int64)
        state = init(self.denoiser, self.canvas.take(chosen), self.strategy, self.seeds[chosen])
        return [Begun(numbers, state, self.strategy)]
