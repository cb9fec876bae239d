"""The passes over the vocabulary: what must be read or written for every id of every position.

Each takes as many positions as fit the cache. All that follows looks at one block of about √V ids.
Shapes: M rows, V vocabulary, K blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import torch
from torch import Tensor

from unmask.inversion import LOWEST
from unmask.sampling.best import Best
from unmask.sampling.draw import Draw
from unmask.sampling.scratch import Scratch
from unmask.sampling.two_level import block_maxima, block_sums

SLICE_ELEMENTS = 2**19  # on the CPU


def passes(
    logits: Tensor,
    draw: Draw,
    temperature: Tensor,
    rate: Tensor,
    wanted: Set[str],
    scratch: Scratch,
) -> dict[str, Tensor]:
    """What is summed up of logits (M,V) float32, which are shifted so that the largest is 0.

    temperature (M,), rate (M,1) its inverse, 1 where it is greedy. Always `peak` (M,) the largest
    logit and `sums` (M,K) of the blocks' masses. Where the draw has filters `least` and `last`, the
    fields of what they keep. As wanted: `kept` (M,), the mass of that; `warm` (M,K), the masses of
    what is drawn from, `tempered` or not; `maxima` (M,K); and `mean` (M,), the sum of mass times
    logit.
    """
    parts = []
    for at in _slices(logits):
        part, best = _shift(logits[at], wanted, scratch), None
        if draw.filtered:
            room = scratch.like("keep", logits[at])
            best = draw.kept(logits[at], temperature[at], room)
            part |= best._asdict()
        parts.append(part | _shape(logits[at], best, rate[at], wanted, scratch))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _slices(logits: Tensor) -> Iterator[slice]:
    rows, vocab = logits.shape
    size = max(1, SLICE_ELEMENTS // vocab) if logits.device.type == "cpu" else max(1, rows)
    return (slice(i, i + size) for i in range(0, rows, size))


def _shift(logits: Tensor, wanted: Set[str], scratch: Scratch) -> dict[str, Tensor]:
    """What the model says, with the masses left in `scratch`."""
    # Measured from the likeliest id, log-probabilities near 0 keep their digits.
    peak = logits.amax(1)
    logits.sub_(peak.unsqueeze(1))
    mass = torch.exp(logits, out=scratch.like("mass", logits))
    out = {"peak": peak, "sums": block_sums(mass)}
    if "maxima" in wanted:
        out["maxima"] = block_maxima(logits)
    if "mean" in wanted:
        finite = torch.clamp(logits, min=LOWEST, out=scratch.like("warm", logits))
        out["mean"] = finite.mul_(mass).sum(1)
    return out


def _shape(
    logits: Tensor, best: Best | None, rate: Tensor, wanted: Set[str], scratch: Scratch
) -> dict[str, Tensor]:
    """What the draw makes of it: tempered, filtered."""
    out, mass, room = {}, scratch.like("mass", logits), scratch.like("warm", logits)
    keep = None
    if best is not None and wanted & {"kept", "warm"}:
        keep = best.mask(logits, scratch.like("keep", logits))
    if "kept" in wanted and keep is not None:
        out["kept"] = torch.mul(mass, keep, out=room).sum(1)
    if "warm" in wanted:
        warm = torch.mul(logits, rate, out=room).exp_() if "tempered" in wanted else mass
        out["warm"] = block_sums(warm if keep is None else torch.mul(warm, keep, out=room))
    return out
