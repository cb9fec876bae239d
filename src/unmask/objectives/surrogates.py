"""Training losses of papers that are no bound on the likelihood; their `nll` is None.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unmask import schedules
from unmask.core.checks import check_share_below_one
from unmask.core.loss import Loss
from unmask.core.network import Denoiser
from unmask.objectives.corruption import BertNoise
from unmask.objectives.evaluate import loss_of
from unmask.objectives.nelbo import corrupt_by_count
from unmask.schedules import AnySchedule


def masked_mean(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.cosine,
    label_smoothing: float = 0.0,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return MaskGIT's loss (2202.04200): mean cross-entropy over all hidden positions.

    Counts ⌈n·γ(u)⌉ follow the schedule, the paper's cosine by default; no weight corrects for it.
    label_smoothing in [0, 1) spreads that share of each target over the legal ids; the paper has
    0.1. `tokens` and `counts` of the result count hidden positions. Other arguments as in `count`.
    """
    check_share_below_one("label_smoothing", label_smoothing)
    batch = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, time=time)
    return loss_of(
        denoiser,
        batch,
        valid,
        condition,
        self_condition,
        even=True,
        label_smoothing=label_smoothing,
    )


def bert(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    noise: BertNoise | None = None,
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
    self_condition: float = 0.0,
) -> Loss:
    """Return the mean cross-entropy over chosen positions, some of them shown (BERT, 1810.04805).

    Counts follow the schedule. Of the chosen positions, noise (default `BertNoise()`) shows some
    with their own ids and some with random ids. The network then sees some targets and some wrong
    ids, so the value does not estimate the likelihood. Other arguments as in `count`.
    """
    noise = BertNoise() if noise is None else noise
    batch = corrupt_by_count(
        denoiser, tokens, maskable, seed, schedule=schedule, noise=noise, time=time
    )
    return loss_of(denoiser, batch, valid, condition, self_condition, even=True)
