"""The masked-diffusion bound, estimated by hiding each position independently.

L(x) = ∫ −γ'(u)/γ(u) · E_{M~Bernoulli(γ(u))} Σ_{i∈M} −log p(x_i | visible) du, over u in (0, 1).
Shapes: B rows, N positions; n maskable positions of a row, K of them hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from unmask import schedules
from unmask.core.checks import check_share_below_one
from unmask.core.head import mask_id_of
from unmask.core.loss import Loss
from unmask.core.network import Denoiser
from unmask.objectives.corruption import hide_each, stratified_times
from unmask.objectives.counts import binomial, inverse
from unmask.objectives.evaluate import Corrupted, loss_of
from unmask.objectives.inputs import checked_batch
from unmask.schedules import AnySchedule, Schedule

# (schedule, times (B,), hidden counts (B,), maskable counts (B,)) -> weights (B,)
Weight = Callable[[Schedule, Tensor, Tensor, Tensor], Tensor]


def by_time(ratio: Schedule, time: Tensor, hidden: Tensor, size: Tensor) -> Tensor:
    """Return −γ'/γ at each row's time; 1/t for `linear`, t = γ(u) (2406.07524, equation 10)."""
    return (-ratio.derivative(time) * inverse(ratio(time))).masked_fill(hidden == 0, 0.0)


def by_count(ratio: Schedule, time: Tensor, hidden: Tensor, size: Tensor) -> Tensor:
    """Return 1/(K·P(K)), K positions hidden with probability P(K); (n+1)/K for `linear`."""
    return inverse(hidden * binomial(ratio, hidden, size))


def corrupt_bernoulli(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    weight: Weight,
    schedule: AnySchedule = schedules.linear,
    time: Tensor | None = None,
    latest: float = 1.0,
) -> Corrupted:
    """Hide each of a row's maskable positions with probability γ(u), where u is the row's time.

    weight: `by_time` or `by_count`. time (B,) in (0, 1); None stratifies it over the rows. latest:
    factor of all times.
    """
    ratio = schedules.resolve(schedule)
    tokens, seeds = checked_batch(denoiser, tokens, maskable, seed, time)
    u = stratified_times(seeds) if time is None else time.to(tokens.device).double()
    u = u * latest
    masked = hide_each(maskable, ratio(u), seeds)
    shown = tokens.masked_fill(masked, mask_id_of(denoiser.spec))
    # Times cover this share of the interval, so each has that weight.
    weights = latest * weight(ratio, u, masked.sum(1), maskable.sum(1))
    return Corrupted(tokens, shown, masked, weights, maskable, seeds)


def bernoulli(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    epsilon: float = 0.0,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return MDLM's and LLaDA's loss (2406.07524, 2502.09992), with the weight −γ'/γ.

    Each position is hidden independently. With epsilon=0 unbiased, but of infinite variance, from
    rare rows of very large weight.
    epsilon in [0, 1) keeps times below 1 − epsilon, which leaves mask ratios below γ(1−ε) out of
    the integral: the value is then too small by at most γ(1−ε)·n times the largest −log p of a
    token, is no bound, and `nll` is None. Other arguments as in `count`.
    """
    check_share_below_one("epsilon", epsilon)
    given = (denoiser, tokens, maskable, seed)
    batch = corrupt_bernoulli(
        *given, weight=by_time, schedule=schedule, time=time, latest=1 - epsilon
    )
    return loss_of(denoiser, batch, valid, condition, self_condition, bound=epsilon == 0)


def bernoulli_by_count(
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
    """Return an unbiased estimate of the bound, with the weight 1/(K·P(K)).

    Each position is hidden independently with probability γ(u); K of them are hidden. For `linear`
    the weight is (n+1)/K. Unlike that of `bernoulli`, the weight is bounded, so no epsilon is
    needed. A row without hidden positions has loss 0. Arguments as in `count`.
    """
    batch = corrupt_bernoulli(
        denoiser, tokens, maskable, seed, weight=by_count, schedule=schedule, time=time
    )
    return loss_of(denoiser, batch, valid, condition, self_condition)
