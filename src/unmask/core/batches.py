"""Work on many rows, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def in_batches(
    work: Callable[[slice], Tensor],
    count: int,
    most: int,
    report: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return (count, ...): what `work` returns for `count` rows, asked for `most` at a time.

    work is called once at least, with no rows if there are none. report(done, count) is called
    before each batch and after the last.
    """
    parts = []
    for start in range(0, max(count, 1), most):
        if report is not None:
            report(start, count)
        parts.append(work(slice(start, start + most)))
    if report is not None:
        report(count, count)
    return torch.cat(parts)
