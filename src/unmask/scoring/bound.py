"""The masked-diffusion bound by complementary pairs of masks (2406.03736); pseudo-likelihood.

Shapes: B examples, N positions, J pairs over all examples, j pairs of one forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.batches import in_batches
from unmask.core.checks import check_count
from unmask.core.network import Denoiser
from unmask.core.random import Purpose, fold, uniform
from unmask.core.state import State
from unmask.decoding import Canvas
from unmask.objectives.corruption import hide
from unmask.scoring.look import Estimate, Report, initial_state, nats


@dataclass(frozen=True)
class Bound:
    """An unbiased estimate of the bound: −log p(x) averaged over all orders, one token at a time.

    Of n tokens to score, a pair of masks hides k, then the other n − k, so that each token is
    scored once; over the `samples` pairs of an example, k covers 1..n evenly. For a single token,
    one forward gives −log p exactly. Raises StrategyError unless samples is 1 or more.

    The variance of an example's estimate is that of pairs which split its tokens alike: half the
    mean square of differences of neighbours, in the order of min(k, n − k), over the number of
    pairs. Where neighbours split them differently it is slightly too large. One pair has none.
    """

    samples: int = 16
    kind: ClassVar[str] = "bound"

    def __post_init__(self) -> None:
        check_count("samples", self.samples)

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Estimate:
        """Return nats and their variance; the masks of example i depend on (seed, i) alone."""
        state = initial_state(denoiser, canvas, seed)
        size = canvas.editable.sum(1)
        each = torch.where(size > 1, self.samples, size)
        example = torch.arange(len(size), device=size.device).repeat_interleave(each)
        sample = torch.arange(len(example), device=size.device) - (each.cumsum(0) - each)[example]

        def pairs(part: slice) -> Tensor:
            return self._pairs(denoiser, state, example[part], sample[part], seed)

        table = torch.zeros(len(size), self.samples, 2, dtype=torch.float64, device=size.device)
        table[example, sample] = in_batches(pairs, len(example), max(1, batch_size // 2), report)
        nats, smaller = table.unbind(2)
        return Estimate(nats.sum(1) / each.clamp(min=1), self._variance(nats, smaller, size))

    def _variance(self, pairs: Tensor, smaller: Tensor, size: Tensor) -> Tensor:
        """(B,) from the nats of pairs and the sizes of their smaller halves, (B,samples) each."""
        alike = pairs.gather(1, smaller.argsort(dim=1, stable=True))
        found = alike.diff().square().mean(1) / (2 * self.samples)
        return found.masked_fill(size <= 1, 0.0)

    def _pairs(
        self, denoiser: Denoiser, state: State, rows: Tensor, sample: Tensor, seed: int
    ) -> Tensor:
        """(j,2) float64: nats of pairs of masks, and min(k, n − k) of each.

        Nats are n/(2k)·Σ over k hidden tokens plus n/(2(n−k))·Σ over the others.
        """
        seeds = fold(seed, rows) ^ sample
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
        pairs = halves[: len(rows)] + halves[len(rows) :]
        return torch.stack([pairs, torch.minimum(count, size - count).double()], 1)


@dataclass(frozen=True)
class PseudoLikelihood:
    """Σ −log p(x_i | all other tokens), one row of a forward for each scored token (1910.14659).

    For comparing rows only: the terms do not come from one joint distribution, so the sum is
    neither −log p(x) nor a bound on it.
    """

    kind: ClassVar[str] = "pseudo"

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Estimate:
        """Return exact nats; the seed has no effect."""
        state = initial_state(denoiser, canvas, seed)
        row, position = canvas.editable.nonzero(as_tuple=True)
        place = torch.arange(canvas.tokens.shape[1], device=row.device)

        def alone(part: slice) -> Tensor:
            return nats(denoiser, state, row[part], place == position[part, None])

        found = in_batches(alone, len(row), batch_size, report)
        total = torch.zeros(len(canvas.tokens), dtype=torch.float64, device=row.device)
        total.index_add_(0, row, found)
        return Estimate(total, torch.zeros_like(total))
