"""From a corrupted batch to a loss: one pass of the trunk, and the head at hidden positions.

Shapes: B rows, N positions, D width, M hidden positions over the batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask.core.checks import check_share_below_one
from unmask.core.head import illegal_tensor, legal_logits
from unmask.core.loss import Loss
from unmask.core.network import Denoiser, Query
from unmask.errors import DataError
from unmask.objectives.blocks import states_in_noise
from unmask.objectives.inputs import check_grids, check_reading, kind_of


@dataclass(frozen=True)
class Corrupted:
    """A batch of data, its hidden positions, and the weight of each row.

    Raises DataError for tensors of another kind or shape.
    """

    tokens: Tensor  # (B,N) int64: the data
    shown: Tensor  # (B,N) int64: the network's input
    masked: Tensor  # (B,N) bool: hidden positions, whose tokens are in the loss
    weight: Tensor  # float64: factor of the cross-entropy of each row (B,), or each token (B,N)
    maskable: Tensor  # (B,N) bool: could have been hidden; the loss is per token of these
    seed: Tensor  # (B,) int64

    def __post_init__(self) -> None:
        check_grids(self.tokens, masked=self.masked, maskable=self.maskable)
        check_grids(self.shown, masked=self.masked)
        for name, shapes in (("weight", (1, 2)), ("seed", (1,))):
            given = getattr(self, name)
            fits = isinstance(given, Tensor) and given.dim() in shapes
            if not fits or given.shape != self.tokens.shape[: given.dim()]:
                raise DataError(f"{name} is {kind_of(given)}: pass one number for each row")


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

    In a network with blocks, each block is read with the data in the blocks before it, as it is
    generated (`states_in_noise`).
    self_condition: probability that a row gets the hidden states of a first pass as input.
    label_smoothing: share of the target that is spread evenly over the legal ids, that is, all but
    the mask id and forbidden ids; `Reading.nll` is then the smoothed cross-entropy. Raises an
    InputError for options out of range, and ids or flags that the network cannot be run on.
    """
    check_corrupted(batch)
    check_share_below_one("label_smoothing", label_smoothing)
    check_reading(
        denoiser, batch.shown, batch.masked, batch.tokens, valid, condition, self_condition
    )
    valid = torch.ones_like(batch.masked) if valid is None else valid
    query = replace(Query.of(batch.shown, valid, condition), seed=batch.seed)
    flags = (batch.masked, batch.maskable)
    hidden = states_in_noise(denoiser, query, batch.tokens, *flags, self_condition, batch.seed)
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


def check_corrupted(batch: object) -> None:
    """Raise DataError unless this is a corrupted batch."""
    if not isinstance(batch, Corrupted):
        raise DataError(f"batch is {kind_of(batch)}: pass what corrupt_by_count returned")


def evaluate(batch: Corrupted, reading: Reading, *, bound: bool) -> Loss:
    """Return the weighted cross-entropy per token. bound: whether it estimates −log p(x), `nll`.

    Raises DataError unless the reading has one number for each hidden position of the batch.
    """
    check_corrupted(batch)
    nll = reading.nll if isinstance(reading, Reading) else reading
    hidden = int(batch.masked.sum())
    if not isinstance(nll, Tensor) or nll.shape != (hidden,) or not nll.is_floating_point():
        raise DataError(
            f"reading is {kind_of(nll)}: pass what read_corrupted returned for this batch, with "
            f"its {hidden} hidden positions"
        )
    return weighted(batch, nll, bound=bound)


def loss_of(
    denoiser: Denoiser,
    batch: Corrupted,
    valid: Tensor | None,
    condition: Any,
    self_condition: float,
    *,
    bound: bool = True,
    even: bool = False,
    label_smoothing: float = 0.0,
) -> Loss:
    """Return the cross-entropy of what the network reads in a batch.

    even: whether weights are equal, and only hidden positions are counted.
    """
    reading = read_corrupted(
        denoiser,
        batch,
        valid=valid,
        condition=condition,
        self_condition=self_condition,
        label_smoothing=label_smoothing,
    )
    if even:
        batch = replace(batch, weight=torch.ones_like(batch.weight), maskable=batch.masked)
    return weighted(batch, reading.nll, bound=bound and not even)


def weighted(batch: Corrupted, nll: Tensor, *, bound: bool) -> Loss:
    """Return the loss of −log p(data) (M,) at the masked positions, as `evaluate` does."""
    zeros = batch.weight.new_zeros(batch.masked.shape)
    each = zeros.masked_scatter(batch.masked, nll.double())
    by_row = batch.weight.dim() == 1
    per_example = each.sum(1) * batch.weight if by_row else (each * batch.weight).sum(1)
    return per_token(per_example, batch.maskable, bound=bound)


def per_token(per_example: Tensor, maskable: Tensor, *, bound: bool) -> Loss:
    """Return the loss of nats (B,) per token of maskable (B,N)."""
    counts, total = maskable.sum(1), per_example.sum()
    return Loss(
        loss=(total / counts.sum().clamp(min=1)).float(),
        nll=total.detach() if bound else None,
        tokens=counts.sum(),
        per_example=per_example.detach(),
        counts=counts,
    )
