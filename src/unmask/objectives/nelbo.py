"""The masked-diffusion bound on −log p(x), and its estimators (2406.07524, 2406.03736).

L(x) = N·E_{k~U{1..N}} [(1/k) Σ_{i∈M, |M|=k} −log p(x_i | visible)]: the same value for every
monotone schedule, so a schedule only decides which k are looked at more often, and the weight
1/(k·q(k)) takes it back out. Counts need no ε and have finite variance.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask import schedules
from unmask.corruption import BertNoise, hide, stratified_times
from unmask.head import illegal_tensor, mask_id_of, vocab_of
from unmask.objectives.evaluate import Corrupted, check_data, evaluate, read, row_seeds
from unmask.schedules import AnySchedule
from unmask.types import Denoiser, Loss


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

    q(k) = γ⁻¹((k−1)/n) − γ⁻¹(k/n) is the probability of k under the schedule (for linear
     the weight is n/k). time (B,) in (0, 1) is u; None stratifies it over the rows.
    """
    check_data(denoiser, tokens, maskable)
    seeds = row_seeds(seed, len(tokens)).to(tokens.device)
    size = maskable.sum(1)
    ratio = schedules.resolve(schedule)
    u = stratified_times(seeds) if time is None else time
    count = torch.minimum((size * ratio(u)).ceil().long().clamp(min=1), size)
    n = size.clamp(min=1).double()
    k = count.clamp(min=1).double()
    # A schedule may be flat at its ends, where its inverse is no single time: k = 1 lasts until 1,
    # k = n begins at 0.
    leaves = ratio.inverse((k - 1) / n).masked_fill(count <= 1, 1.0)
    probability = leaves - ratio.inverse(k / n).masked_fill(count == size, 0.0)
    masked = hide(maskable, count, seeds)
    shown = tokens.masked_fill(masked, mask_id_of(denoiser))
    if noise is not None:
        shown = noise(tokens, shown, masked, seeds, _legal(denoiser, tokens.device))
    return Corrupted(tokens, shown, masked, 1 / (k * probability), maskable, seeds)


def _legal(denoiser: Denoiser, device: torch.device) -> Tensor:
    """Every id that is data, as a vector."""
    data = torch.ones(vocab_of(denoiser), dtype=torch.bool, device=device)
    return data.index_fill(0, illegal_tensor(denoiser, device), False).nonzero().squeeze(1)


def count(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    noise: BertNoise | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Unbiased estimate of the bound from one corruption a row (`corrupt_by_count`).

    tokens (B,N) int64; maskable (B,N) bool: False at prompts and padding, which are never hidden
    and never in the loss; seed: one integer, or (B,) row seeds. With noise (BERT's keep and random
    replacement) the value is no bound and `nll` is None. Raises DataError for unusable data.
    """
    batch = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, noise=noise)
    reading = read(denoiser, batch, valid=valid, condition=condition, self_condition=self_condition)
    return evaluate(batch, reading, bound=noise is None)


def complementary(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Unbiased estimate from a set of positions and its complement: every token once in the loss.

    Averages (n/k)·Σ over k hidden positions and n/(n−k)·Σ over the other n−k, k uniform on 1..n; at
    k = n there is no complement and the first stands alone. Two forwards a row, run as one batch;
    the spread is a third of that of two independent corruptions. Arguments as in `count`.
    """
    first = corrupt_by_count(denoiser, tokens, maskable, seed, time=time)
    size, hidden = maskable.sum(1), first.masked.sum(1)
    rest = maskable & ~first.masked
    both = Corrupted(
        tokens=tokens.repeat(2, 1),
        shown=torch.cat([first.shown, tokens.masked_fill(rest, mask_id_of(denoiser))]),
        masked=torch.cat([first.masked, rest]),
        weight=torch.cat([_share(size, hidden, size), _share(size, size - hidden, size)]),
        maskable=maskable.repeat(2, 1),
        seed=first.seed.repeat(2),
    )
    reading = read(
        denoiser,
        both,
        valid=None if valid is None else valid.repeat(2, 1),
        condition=_twice(condition),
        self_condition=self_condition,
    )
    pair = evaluate(both, reading, bound=True)
    halves = pair.per_example.unflatten(0, (2, -1)).sum(0)
    # Each token is counted once though it passes twice: `evaluate` divided by twice the tokens.
    return Loss(loss=pair.loss * 2, nll=pair.nll, tokens=maskable.sum(), per_example=halves)


def _share(size: Tensor, hidden: Tensor, whole: Tensor) -> Tensor:
    """(B,) float64 weight n/(2k), and n/k where all is hidden and there is no other half."""
    alone = torch.where(hidden == whole, 1.0, 0.5).double()
    return alone * size / hidden.clamp(min=1)


def _twice(condition: Any) -> Any:
    return tree_map(lambda x: torch.cat([x, x]) if isinstance(x, Tensor) else x, condition)


def masked_mean(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    noise: BertNoise | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """MaskGIT's training loss (2202.04200): mean cross-entropy over all hidden positions.

    Counts follow the schedule and are not weighted back: this is no likelihood, `nll` is None and
    `tokens` of the result is the number of hidden positions. Arguments as in `count`.
    """
    batch = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, noise=noise)
    reading = read(denoiser, batch, valid=valid, condition=condition, self_condition=self_condition)
    flat = Corrupted(
        batch.tokens,
        batch.shown,
        batch.masked,
        torch.ones_like(batch.weight),
        batch.masked,
        batch.seed,
    )
    return evaluate(flat, reading, bound=False)
