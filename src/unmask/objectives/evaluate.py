"""From a corrupted batch to a loss: one pass of the trunk, and the head at hidden positions.

Shapes: B rows, N positions, D width, M hidden positions over the batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask.core.head import illegal_tensor, legal_logits
from unmask.core.loss import Loss
from unmask.core.network import Denoiser, Query
from unmask.core.random import derive
from unmask.errors import DataError
from unmask.objectives.self_conditioning import hidden_states


@dataclass(frozen=True)
class Corrupted:
    """A batch of data, its hidden positions, and the weight of each row."""

    tokens: Tensor  # (B,N) int64: the data
    shown: Tensor  # (B,N) int64: the network's input
    masked: Tensor  # (B,N) bool: hidden positions, whose tokens are in the loss
    weight: Tensor  # (B,) float64: factor of each row's summed cross-entropy
    maskable: Tensor  # (B,N) bool: could have been hidden; the loss is per token of these
    seed: Tensor  # (B,) int64


@dataclass(frozen=True)
class Reading:
    """The network's output on a corrupted batch."""

    logits: Tensor  # (M,V) float32 at the masked positions, row by row; illegal ids at -inf
    nll: Tensor  # (M,) −log p(data), or the cross-entropy with smoothed targets


def read_corrupted(
    denoiser: Denoiser,
    batch: Corrupted,
    *,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
    label_smoothing: float = 0.0,
) -> Reading:
    """Run the network on a corrupted batch; the head runs at masked positions only.

    self_condition: probability that a row gets the hidden states of a first pass as input.
    label_smoothing: share of the target that is spread evenly over the legal ids, that is, all but
    the mask id and forbidden ids; `Reading.nll` is then the smoothed cross-entropy.
    """
    valid = torch.ones_like(batch.masked) if valid is None else valid
    query = Query.of(batch.shown, valid, condition)
    query = query.with_inputs(denoiser.spec.inputs, batch.masked, batch.maskable)
    hidden = hidden_states(denoiser, query, self_condition, batch.seed)
    index = batch.masked.flatten().nonzero().squeeze(1)
    illegal = illegal_tensor(denoiser.spec, hidden.device)
    logits = legal_logits(denoiser, hidden.flatten(0, 1).index_select(0, index), illegal)
    target = batch.tokens.flatten()[index]
    nll = F.cross_entropy(logits, target, reduction="none")
    if label_smoothing:
        legal = logits.shape[1] - len(illegal)
        even = -logits.log_softmax(1).index_fill(1, illegal, 0.0).sum(1) / legal
        nll = (1 - label_smoothing) * nll + label_smoothing * even
    return Reading(logits, nll)


def evaluate(batch: Corrupted, reading: Reading, *, bound: bool) -> Loss:
    """Return the weighted cross-entropy per token. bound: whether it estimates −log p(x), `nll`."""
    per_position = batch.weight.new_zeros(batch.masked.shape).masked_scatter(
        batch.masked, reading.nll.double()
    )
    per_example = per_position.sum(1) * batch.weight
    counts = batch.maskable.sum(1)
    tokens = counts.sum()
    loss = (per_example.sum() / tokens.clamp(min=1)).float()
    nll = per_example.sum().detach() if bound else None
    return Loss(loss=loss, nll=nll, tokens=tokens, per_example=per_example.detach(), counts=counts)


def example_seeds(seed: int | Tensor, rows: int) -> Tensor:
    """Return (B,) int64 row seeds, derived from one seed, or given as (B,)."""
    if isinstance(seed, Tensor):
        if seed.shape != (rows,):
            raise DataError(f"seed has shape {tuple(seed.shape)}: pass one integer, or ({rows},)")
        return seed
    return derive(seed, rows)


def check_data(denoiser: Denoiser, tokens: Tensor, maskable: Tensor) -> None:
    """Raise DataError unless shapes agree and every maskable token is an id that data may hold."""
    if tokens.shape != maskable.shape or maskable.dtype != torch.bool:
        raise DataError(
            f"maskable is {maskable.dtype} of shape {tuple(maskable.shape)}: pass a bool tensor of "
            f"shape {tuple(tokens.shape)}"
        )
    vocab = denoiser.spec.vocab_size
    inside = (tokens >= 0) & (tokens < vocab)
    illegal = torch.zeros(vocab, dtype=torch.bool, device=tokens.device)
    illegal[illegal_tensor(denoiser.spec, tokens.device)] = True
    for wrong, why in (
        (maskable & ~inside, f"is outside the vocabulary of {vocab}"),
        (maskable & illegal[tokens.clamp(0, vocab - 1)], "is the mask id or a forbidden one"),
    ):
        if bool(wrong.any()):
            row, position = wrong.nonzero()[0].tolist()
            raise DataError(
                f"id {int(tokens[row, position])} at row {row}, position {position} {why}"
            )
