"""The held-out bound on −log p(x), with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.corruption import stratified_times
from unmask.inference import evaluating
from unmask.objectives import complementary
from unmask.random import fold
from unmask.types import Denoiser


@dataclass(frozen=True)
class Bound:
    """Upper bound on −log p(x) per token, in nats, with the standard error over examples."""

    nats: float
    standard_error: float
    examples: int

    @property
    def bits(self) -> float:
        """Bits per token; for images bits per dimension."""
        return self.nats / math.log(2)

    @property
    def bits_error(self) -> float:
        """Standard error of `bits`."""
        return self.standard_error / math.log(2)


def bound(
    denoiser: Denoiser,
    tokens: Tensor,
    *,
    condition: Any = None,
    samples: int = 16,
    seed: int = 0,
    batch_size: int = 256,
) -> Bound:
    """Estimate the bound on tokens (B,N), every position in it, by complementary pairs of masks.

    samples: pairs per example, their sizes spread evenly over 1..N. Example i's masks depend on
    (seed, i) alone.
    """
    device = getattr(denoiser, "device", None) or tokens.device
    tokens = tokens.to(device)
    condition = tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, condition)
    index = torch.arange(len(tokens), device=device)
    per_example = torch.cat(
        [
            _per_example(denoiser, tokens, condition, rows, samples, seed)
            for rows in index.split(max(1, batch_size // samples))
        ]
    )
    each = per_example / tokens.shape[1]
    error = float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return Bound(float(each.mean()), error, len(each))


def _per_example(
    denoiser: Denoiser, tokens: Tensor, condition: Any, rows: Tensor, samples: int, seed: int
) -> Tensor:
    """(b,) nats of these examples, averaged over `samples` pairs each."""
    each = rows.repeat_interleave(samples)
    sample = torch.arange(samples, device=rows.device).repeat(len(rows))
    seeds = fold(seed, each) ^ sample
    data = tokens[each]
    given = tree_map(lambda x: x[each] if isinstance(x, Tensor) else x, condition)
    with evaluating(denoiser):
        loss = complementary(
            denoiser,
            data,
            torch.ones_like(data, dtype=torch.bool),
            seeds,
            time=stratified_times(seeds, samples),
            condition=given,
        )
    return loss.per_example.view(-1, samples).mean(1)
