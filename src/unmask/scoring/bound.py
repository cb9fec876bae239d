"""The masked-diffusion bound by complementary pairs of masks (2406.03736); pseudo-likelihood.

Shapes: B examples, N positions, G blocks, S samples, j pairs of one forward.
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
from unmask.objectives.blocks import blocks_of
from unmask.objectives.corruption import hide
from unmask.scoring.look import Estimate, Report, initial_state, nats


@dataclass(frozen=True)
class Bound:
    """An unbiased estimate of the bound: −log p(x) averaged over all orders, one token at a time.

    Of n tokens to score, a pair of masks hides k, then the other n − k, so that each token is
    scored once; over the `samples` pairs of an example, k covers 1..n evenly. For a single token,
    one forward gives −log p exactly. Raises StrategyError unless samples is 1 or more.

    A network with blocks generates them one after the other, so the orders are those that go block
    by block (BD3-LM 2503.09573): each block has its own k of its own n, and is read with all tokens
    of the blocks before it. With blocks of one token one forward is exact.

    The variance of an example's estimate is that of pairs which split its tokens alike: half the
    mean square of differences of neighbours, in the order of min(k, n − k), over the number of
    pairs; with blocks it is the sum over them. Where neighbours split them differently it is
    slightly too large, unless `samples` is a multiple of n, twice or more. One pair has none.
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
        block, size = blocks_of(denoiser, canvas.editable)
        most = size.amax(1)
        each = torch.where(most > 1, self.samples, most)
        example = torch.arange(len(size), device=size.device).repeat_interleave(each)
        sample = torch.arange(len(example), device=size.device) - (each.cumsum(0) - each)[example]

        def pairs(part: slice) -> Tensor:
            of = example[part]
            return self._pairs(denoiser, state, of, sample[part], seed, block[of], size[of])

        # A single sample of each where no block has more than one token.
        shape = (len(size), int(each.max()), size.shape[1], 2)
        table = torch.zeros(shape, dtype=torch.float64, device=size.device)
        table[example, sample] = in_batches(pairs, len(example), max(1, batch_size // 2), report)
        nats, smaller = table.unbind(3)
        total = nats.sum((1, 2)) / each.clamp(min=1)
        return Estimate(total, self._variance(nats, smaller, size))

    def _variance(self, pairs: Tensor, smaller: Tensor, size: Tensor) -> Tensor:
        """(B,) from the nats of pairs and the sizes of their smaller halves, (B,S,G) each."""
        order = smaller.argsort(dim=1, stable=True)
        half = pairs.gather(1, order).diff(dim=1).square() / 2
        found = half.mean(1) / self.samples
        # Where every k has as many pairs, two or more, those that split alike are compared alone.
        n, split = size.clamp(min=1), smaller.gather(1, order)
        several = self.samples // n
        whole = (several * n == self.samples) & (several > 1)
        alike = split.diff(dim=1) == 0
        twice = (split > 0) & (2 * split < n.unsqueeze(1))  # by k, and by n − k
        many = (several.unsqueeze(1) * (1 + twice.long()))[:, 1:].double()
        within = (half * many / (many - 1).clamp(min=1) * alike).sum(1) / self.samples**2
        return within.where(whole, found).masked_fill(size <= 1, 0.0).sum(1)

    def _pairs(
        self,
        denoiser: Denoiser,
        state: State,
        rows: Tensor,
        sample: Tensor,
        seed: int,
        block: Tensor,
        size: Tensor,
    ) -> Tensor:
        """(j,G,2) float64: nats of the blocks in pairs of masks, and min(k, n − k) of each.

        Nats are n/(2k)·Σ over k hidden tokens plus n/(2(n−k))·Σ over the others. block: (j,N) int64
        of positions. size: (j,G) int64, the n of blocks.
        """
        seeds, asked = fold(seed, rows) ^ sample, state.editable[rows]
        number = torch.arange(size.shape[1], device=size.device)
        u = uniform(seeds[:, None], 0, number, Purpose.MASK_COUNT)[..., 0]
        time = (sample[:, None] + u) / self.samples
        count = torch.minimum((size * (1 - time)).ceil().long().clamp(min=1), size)
        first = hide(asked, count, seeds, block)
        hidden = torch.cat([first, asked & ~first])
        k, n = torch.cat([count, size - count]), size.repeat(2, 1)
        # Where all is hidden there is no other half, and the first stands alone.
        weight = torch.where(k == n, 1.0, 0.5).double() * n / k.clamp(min=1)
        there = hidden.any(1)
        sums = torch.zeros_like(weight)
        found = nats(denoiser, state, rows.repeat(2)[there], hidden[there])
        sums[there] = sums[there].scatter_add_(1, block.repeat(2, 1)[there], found)
        pairs = (weight * sums).unflatten(0, (2, -1)).sum(0)
        return torch.stack([pairs, torch.minimum(count, size - count).double()], 2)


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
            return nats(denoiser, state, row[part], place == position[part, None]).sum(1)

        found = in_batches(alone, len(row), batch_size, report)
        total = torch.zeros(len(canvas.tokens), dtype=torch.float64, device=row.device)
        total.index_add_(0, row, found)
        return Estimate(total, torch.zeros_like(total))
