"""The passes over the vocabulary: what must be read or written for every id of every position.

Each takes as many positions as fit the processor's cache. All that follows reads one block of about
√V ids.
Shapes: M rows, V vocabulary, K blocks.
"""

from __future__ import annotations

from collections.abc import Set

import torch
from torch import Tensor

from unmask.core.inversion import LOWEST
from unmask.sampling.filters import kept
from unmask.sampling.settings import Sampling, Temperatures
from unmask.sampling.two_level import block_maxima, block_sums

SLICE_ELEMENTS = 2**19  # on the CPU, about: all slices are as large


class Scratch:
    """Buffers by name, each as large as the largest tensor it was asked for.

    The system hands out large blocks page by page, which costs more than the arithmetic in them.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def like(self, name: str, values: Tensor) -> Tensor:
        """A tensor like values, not filled; it is overwritten when the name is asked for again."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < values.numel():
            empty = torch.empty(values.shape, dtype=values.dtype, device=values.device)
            buffer = self._buffers[name] = empty
        if buffer.shape == values.shape:
            return buffer
        return buffer.view(-1)[: values.numel()].view(values.shape)


def passes(
    logits: Tensor,
    how: Sampling,
    temperature: Temperatures,
    wanted: Set[str],
    scratch: Scratch,
) -> dict[str, Tensor]:
    """Return sums over logits (M,V) float32, which are shifted so that the largest is 0.

    Always `max_logit` (M,) and `sums` (M,K), the masses of the blocks. Where there are filters
    `least` and `last`, the fields of what they keep. As wanted: `kept` (M,), the mass of that, and
    `kept_mean`, its sum of mass times logit;
    `shaped` (M,K), the masses of what is drawn from, `tempered` or not, and `shaped_mean`, their
    sum of mass times logit; `maxima` (M,K); and `mean` (M,), the sum of mass times logit.
    """
    rows, vocab = logits.shape
    count = max(1, round(rows * vocab / SLICE_ELEMENTS)) if logits.device.type == "cpu" else 1
    if count == 1:
        return _pass(logits, how, temperature, wanted, scratch)
    size = -(-rows // count)
    parts = [
        _pass(logits[i : i + size], how, temperature.take(slice(i, i + size)), wanted, scratch)
        for i in range(0, rows, size)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pass(
    logits: Tensor, how: Sampling, temperature: Temperatures, wanted: Set[str], scratch: Scratch
) -> dict[str, Tensor]:
    """One slice of positions."""
    # Measured from the likeliest id, log-probabilities near 0 keep their digits.
    max_logit = logits.amax(1)
    logits.sub_(max_logit.unsqueeze(1))
    mass = torch.exp(logits, out=scratch.like("mass", logits))
    out = {"max_logit": max_logit, "sums": block_sums(mass)}
    if "maxima" in wanted:
        out["maxima"] = block_maxima(logits)
    if "mean" in wanted:
        finite = torch.clamp(logits, min=LOWEST, out=scratch.like("shaped", logits))
        out["mean"] = finite.mul_(mass).sum(1)
    shape, keep = wanted & {"kept", "kept_mean", "shaped"}, None
    if how.filtered:
        best = kept(logits, temperature.value, *how.filters, room=scratch.like("keep", logits))
        out |= best._asdict()
        if shape:
            keep = best.mask(logits, scratch.like("keep", logits))
    if not shape:
        return out
    room = scratch.like("shaped", logits)
    if "kept" in wanted and keep is not None:
        out["kept"] = torch.mul(mass, keep, out=room).sum(1)
    if "kept_mean" in wanted and keep is not None:
        finite = torch.clamp(logits, min=LOWEST, out=room)
        out["kept_mean"] = finite.mul_(mass).mul_(keep).sum(1)
    if "shaped" in wanted:
        tempered = "tempered" in wanted
        shaped = torch.mul(logits, temperature.rate, out=room).exp_() if tempered else mass
        shaped = shaped if keep is None else torch.mul(shaped, keep, out=room)
        out["shaped"] = block_sums(shaped)
        if "shaped_mean" in wanted:
            finite = torch.clamp(logits, min=LOWEST, out=scratch.like("scaled", logits))
            out["shaped_mean"] = finite.mul_(temperature.rate).mul_(shaped).sum(1)
    return out
