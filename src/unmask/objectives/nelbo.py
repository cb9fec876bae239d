"""The masked-diffusion bound on −log p(x), estimated with counted masks (2406.07524, 2406.03736).

L(x) = N·E_{k~U{1..N}} [(1/k) Σ_{i∈M, |M|=k} −log p(x_i | visible)]: the same value for every
monotone schedule, so a schedule only decides how often each k is sampled, and the weight
1/(k·q(k)) corrects for that. Counts need no ε and have finite variance.
Shapes: B rows, N positions; n maskable positions of a row, k of them hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask import schedules
from unmask.core.head import illegal_tensor, mask_id_of
from unmask.core.loss import Loss
from unmask.core.network import Denoiser
from unmask.objectives.corruption import BertNoise, check_noise, hide, stratified_times
from unmask.objectives.counts import inverse, rounded_up
from unmask.objectives.evaluate import Corrupted, loss_of
from unmask.objectives.inputs import check_beside, checked_batch
from unmask.schedules import AnySchedule


def corrupt_by_count(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    noise: BertNoise | None = None,
    time: Tensor | None = None,
) -> Corrupted:
    """Hide k = ⌈n·γ(u)⌉ of each row's n maskable positions, weighted 1/(k·q(k)).

    q(k) = γ⁻¹((k−1)/n) − γ⁻¹(k/n) is the probability of k under the schedule; for `linear` the
    weight is n/k. time: u, (B,) in (0, 1); None stratifies it over the rows. noise: ids shown at
    hidden positions in place of the mask id. Raises DataError for unusable data.
    """
    ratio = schedules.resolve(schedule)
    check_noise(noise)
    tokens, seeds = checked_batch(denoiser, tokens, maskable, seed, time)
    size = maskable.sum(1)
    u = stratified_times(seeds) if time is None else time.to(tokens.device)
    count = torch.minimum((size * ratio(u)).ceil().long().clamp(min=1), size)
    weight = inverse(count * rounded_up(ratio, count, size))
    masked = hide(maskable, count, seeds)
    shown = tokens.masked_fill(masked, mask_id_of(denoiser.spec))
    if noise is not None:
        ids = torch.arange(denoiser.spec.vocab_size, device=tokens.device)
        legal = ids[~torch.isin(ids, illegal_tensor(denoiser.spec, tokens.device))]
        shown = noise(tokens, shown, masked, seeds, legal)
    return Corrupted(tokens, shown, masked, weight, maskable, seeds)


def count(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return an unbiased estimate of the bound from one corruption a row (`corrupt_by_count`).

    tokens: (B,N) int64. maskable: (B,N) bool, False at prompts and padding, which are never hidden
    and never in the loss. seed: one integer, or (B,) int64 row seeds. schedule: the mask ratio γ.
    time: (B,) in (0, 1), each row's time u; None stratifies times over the batch. valid: (B,N)
    bool, False at padding. condition: passed to the denoiser. self_condition: probability that a
    row gets the hidden states of a first pass as input. A batch in which nothing is maskable, such
    as a piece that is all prompt, has loss 0 and tokens 0. Raises DataError for unusable data,
    SeedError for seeds, StrategyError for options out of range.
    """
    batch = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, time=time)
    return loss_of(denoiser, batch, valid, condition, self_condition)


def complementary(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return an unbiased estimate of the bound from a set of positions and its complement.

    Every token is in the loss once. With probability q(s) + q(n−s) one of the sets has s positions,
    q as in `corrupt_by_count`, so a set of s is weighted 1/(s·(q(s) + q(n−s))). For `linear` this
    averages (n/k)·Σ over k hidden positions and n/(n−k)·Σ over the other n−k, with k uniform on
    1..n; at k = n the complement is empty and the first set counts alone. Two forwards a row, run
    as one batch; the deviation is less than half that of two independent corruptions
    (docs/objectives.md). Arguments as in `count`.
    """
    first = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, time=time)
    weights = pair_weights(schedule, first.masked.sum(1), maskable.sum(1))
    return loss_of_pair(denoiser, first, weights, valid, condition, self_condition)


def pair_weights(schedule: AnySchedule, hidden: Tensor, size: Tensor) -> Tensor:
    """Return (2,...) float64: the weights of `hidden` of `size` positions, and of the others."""
    ratio = schedules.resolve(schedule)
    either = rounded_up(ratio, hidden, size) + rounded_up(ratio, size - hidden, size)
    return torch.stack([inverse(hidden * either), inverse((size - hidden) * either)])


def loss_of_pair(
    denoiser: Denoiser,
    first: Corrupted,
    weights: Tensor,
    valid: Tensor | None,
    condition: Any,
    self_condition: float,
) -> Loss:
    """Return the loss of a corrupted batch and its complement, in one forward of twice the rows.

    weights: those of both halves, (2,B) or (2,B,N).
    """
    check_beside(first.tokens, valid, condition)
    rest = first.maskable & ~first.masked
    both = Corrupted(
        tokens=first.tokens.repeat(2, 1),
        shown=torch.cat([first.shown, first.tokens.masked_fill(rest, mask_id_of(denoiser.spec))]),
        masked=torch.cat([first.masked, rest]),
        weight=weights.flatten(0, 1),
        maskable=first.maskable.repeat(2, 1),
        seed=first.seed.repeat(2),
    )
    valid, condition = tree_map(
        lambda x: torch.cat([x, x]) if isinstance(x, Tensor) else x, (valid, condition)
    )
    pair = loss_of(denoiser, both, valid, condition, self_condition)
    halves = pair.per_example.unflatten(0, (2, -1)).sum(0)
    counts = first.maskable.sum(1)
    # Each token is counted once though it passes twice: `loss_of` divided by twice the tokens.
    return Loss(
        loss=pair.loss * 2, nll=pair.nll, tokens=counts.sum(), per_example=halves, counts=counts
    )
