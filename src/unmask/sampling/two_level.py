"""The two-level draw: a block of about √V ids by its mass, then an id inside the block.

Each level has its own uniform. Rare tokens keep their mass (block sums in float32, their running
totals in float64) and no noise tensor of vocabulary size is ever made. Shapes: M rows, V ids of the
vocabulary, W = ⌊√V⌋ the width of a block, K = ⌈V/W⌉ blocks, the last one perhaps short.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.core.arrays import arange
from unmask.core.inversion import COLD, pick, width_of

NEG_INF = float("-inf")


def block_maxima(values: Tensor) -> Tensor:
    """(M,V) -> (M,K)."""
    whole, rest = _blocks(values)
    return whole.amax(2) if rest is None else torch.cat([whole.amax(2), rest.amax(1, True)], 1)


def block_sums(values: Tensor) -> Tensor:
    """(M,V) -> (M,K)."""
    whole, rest = _blocks(values)
    return whole.sum(2) if rest is None else torch.cat([whole.sum(2), rest.sum(1, True)], 1)


def _blocks(values: Tensor) -> tuple[Tensor, Tensor | None]:
    """(M,V) -> the whole blocks (M,K',W), and what is left over (M,V mod W) where there is any."""
    width = width_of(values.shape[1])
    whole = values.shape[1] // width * width
    rest = values[:, whole:] if whole < values.shape[1] else None
    return values[:, :whole].unflatten(1, (-1, width)), rest


def ids_of(block: Tensor, vocab: int) -> Tensor:
    """(M,) -> (M,W) int64: the ids of a block, V and more where a last block is short."""
    width = width_of(vocab)
    return block.unsqueeze(1) * width + arange(width, block.device)


def at_ids(values: Tensor, ids: Tensor, fill: float) -> Tensor:
    """(M,V), `ids_of` a block of each row -> (M,W), `fill` where a last block is short."""
    vocab = values.shape[1]
    if vocab % ids.shape[1] == 0:
        return values.gather(1, ids)
    return values.gather(1, ids.clamp(max=vocab - 1)).masked_fill_(ids >= vocab, fill)


def likeliest(values: Tensor, maxima: Tensor) -> Tensor:
    """(M,V) and its block maxima -> (M,) int64: the first id that has the largest value."""
    ids = ids_of(maxima.argmax(1), values.shape[1])
    return ids[:, 0] + at_ids(values, ids, NEG_INF).argmax(1)


def invert(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Draw one id per row by inverting the distribution in two levels.

    logits (M,V) float32, at least one finite per row; u (M,2) float64 in (0, 1).
    Returns ids (M,) int64 and the log-normaliser (M,) float32 of the logits.
    """
    max_logit = logits.amax(1, keepdim=True)
    mass = (logits - max_logit).exp_()
    block, total = pick(block_sums(mass).double(), u[:, :1])
    ids = ids_of(block, logits.shape[1])
    inside, _ = pick(at_ids(mass, ids, 0.0).double(), u[:, 1:])
    return ids[:, 0] + inside, (max_logit + total.log().float()).squeeze(1)


def draw(logits: Tensor, temperature: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One id per row from softmax(logits / temperature), the best one where that is below COLD.

    logits (M,V) float32, temperature (M,), u (M,2) float64. Returns ids (M,) int64 and the
    log-normaliser (M,) of logits / temperature; of a greedy row, its largest logit.
    """
    greedy = temperature < COLD
    warm = temperature.masked_fill(greedy, 1.0)
    token, normaliser = invert(logits / warm.unsqueeze(1), u)
    best = logits.max(1)
    return best.indices.where(greedy, token), best.values.where(greedy, normaliser)


def two_largest(logits: Tensor, maxima: Tensor) -> tuple[Tensor, Tensor]:
    """(M,V) and its block maxima -> the largest and the second largest of each row, (M,) twice."""
    block = maxima.argmax(1, keepdim=True)
    inside = at_ids(logits, ids_of(block.squeeze(1), logits.shape[1]), NEG_INF)
    inside = inside.topk(min(2, inside.shape[1]), dim=1).values
    elsewhere = maxima.scatter(1, block, NEG_INF).amax(1)
    second = elsewhere if inside.shape[1] == 1 else torch.maximum(elsewhere, inside[:, 1])
    return inside[:, 0], second
