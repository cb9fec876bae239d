"""The rule of the two-level draw, which every way to carry it out shares.

A block of W ids is picked by its mass, then an id inside it. Shapes: M rows, K blocks or ids.
"""

from __future__ import annotations

import math

from torch import Tensor

COLD = 1e-6  # below this temperature the draw is greedy: dividing by less overflows
LOWEST = -1e4  # nats below the likeliest: no mass in float32, and 0 · LOWEST is 0


def width_of(vocab: int) -> int:
    """W, the width of a block."""
    return max(1, math.isqrt(vocab))


def pick(mass: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """First index whose running total exceeds u·total: (M,K) float64, u (M,1) -> (M,), total (M,1).

    Strictly exceeds, so an entry without mass is never picked.
    """
    running = mass.cumsum(1)
    total = running[:, -1:]
    picked = (running <= u * total).sum(1)
    return picked.clamp(max=mass.shape[1] - 1), total
