"""Attention between causal and open, drawn for each example (DiffuLLaMA 2410.17891).

Shapes: R rows, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.core.random import Purpose, uniform
from unmask.errors import StrategyError


def attended(share: float, seed: Tensor | None, length: int) -> Tensor:
    """Return (R,N,N) bool: whether position i may attend to j.

    All earlier positions and its own are attended to, and each later one with probability `share`,
    by a uniform of (seed, i, j) alone: the same example has the same mask in any batch, and what is
    open at one share is open at a larger one. seed: (R,) int64. Raises StrategyError without seeds.
    """
    if seed is None:
        raise StrategyError(
            f"open_share={share!r} draws what is attended to by the seeds of examples, and this "
            "query has none: train by a function of unmask.objectives, or call eval() first"
        )
    place = torch.arange(length, device=seed.device)
    pair = torch.arange((length + 1) // 2, device=seed.device)  # one call has two uniforms
    later = place > place.unsqueeze(1)

    def open_in(row: Tensor) -> Tensor:
        u = uniform(row, 0, place.unsqueeze(1), Purpose.ATTENTION, lane=pair).flatten(1)
        return (u[:, :length] < share) | ~later

    return torch.stack([open_in(row) for row in seed])


def share_at(step: int, steps: int) -> float:
    """Return the share of later positions at a step, counted from 0: min(1, (step + 1)/steps)."""
    return min(1.0, (step + 1) / steps)
