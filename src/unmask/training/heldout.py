"""The held-out bound during training, on the same examples with the same masks each time.

B examples, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from unmask import scoring
from unmask.data import Example
from unmask.data.padding import Padding

LIMIT = 256  # examples scored during training


def held_out_score(
    denoiser: nn.Module,
    examples: Sequence[Example],
    padding: Padding,
    length: int | None,
    pad_id: int,
    *,
    samples: int = 1,
    limit: int | None = LIMIT,
    batch_size: int = 256,
) -> scoring.Score:
    """Return the bound on at most `limit` examples, spread evenly, without their classes."""
    count = len(examples) if limit is None else min(limit, len(examples))
    chosen = [examples[i * len(examples) // count] for i in range(count)]
    rows = padding([e.tokens for e in chosen], [e.maskable for e in chosen], length, pad_id)
    device = next(denoiser.parameters()).device
    return scoring.score(
        denoiser,  # type: ignore[arg-type]
        rows.tokens.to(device),
        rows.maskable.to(device),
        valid=rows.valid.to(device),
        by=scoring.Bound(samples=samples),
        batch_size=batch_size,
    )
