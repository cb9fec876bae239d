"""The masked-diffusion bound on −log p(x), by complementary pairs of masks (2406.03736).

Shapes: B examples, N positions, J pairs over all examples, j pairs of one forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.checks import check_count
from unmask.core.network import Denoiser
from unmask.core.random import Purpose, fold, uniform
from unmask.core.state import State
from unmask.decoding import Canvas
from unmask.objectives.corruption import hide
from unmask.scoring.look import Report, initial_state, nats


@dataclass(frozen=True)
class Bound:
    """An unbiased estimate of the bound: −log p(x) averaged over all orders, one token at a time.

    Of n tokens to score, a pair of masks hides k, then the other n − k, so that each token is
    scored once; over the `samples` pairs of an example, k covers 1..n evenly. For a single token,
    one forward gives −log p exactly. Raises StrategyError unless samples is 1 or more.
    """

    samples: int = 16
    kind: ClassVar[str] = "bound"

    def __post_init__(self) -> None:
        check_count("samples", self.samples)

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Tensor:
        """Return (B,) float64 nats; the masks of example i depend on (seed, i) alone."""
        state = initial_state(denoiser, canvas, seed)
        size = canvas.editable.sum(1)
        each = torch.where(size > 1, self.samples, size)
        example = torch.arange(len(size), device=size.device).repeat_interleave(each)
        sample = torch.arange(len(example), device=size.device) - (each.cumsum(0) - each)[example]
        parts, pairs = [], max(1, batch_size // 2)
        for at in range(0, len(example), pairs):
            report(at, len(example))
            rows, which = example[at : at + pairs], sample[at : at + pairs]
            parts.append(self._pairs(denoiser, state, rows, which, fold(seed, rows)))
        report(len(example), len(example))
        total = torch.zeros(len(size), dtype=torch.float64, device=size.device)
        total = total.index_add_(0, example, torch.cat(parts)) if parts else total
        return total / each.clamp(min=1)

    def _pairs(
        self, denoiser: Denoiser, state: State, rows: Tensor, sample: Tensor, seeds: Tensor
    ) -> Tensor:
        """(j,) float64: n/(2k)·Σ over k hidden tokens plus n/(2(n−k))·Σ over the others."""
        seeds = seeds ^ sample
        asked = state.editable[rows]
        size = asked.sum(1)
        time = (sample + uniform(seeds, 0, 0, Purpose.MASK_COUNT)[:, 0]) / self.samples
        count = torch.minimum((size * (1 - time)).ceil().long().clamp(min=1), size)
        first = hide(asked, count, seeds)
        hidden = torch.cat([first, asked & ~first])
        k, n = torch.cat([count, size - count]), size.repeat(2)
        # Where all is hidden there is no other half, and the first stands alone.
        weight = torch.where(k == n, 1.0, 0.5).double() * n / k.clamp(min=1)
        there = k > 0
        halves = weight.new_zeros(len(k))
        halves[there] = weight[there] * nats(denoiser, state, rows.repeat(2)[there], hidden[there])
        return halves[: len(rows)] + halves[len(rows) :]
