"""Training of critics, which tell the generator's tokens from data (Token-Critic 2209.04439)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask import sampling, schedules
from unmask.core.checks import check_choice, is_number
from unmask.core.loss import Loss
from unmask.core.network import Critic, Denoiser
from unmask.core.random import Purpose, uniform
from unmask.errors import DataError, LogitsError, StrategyError
from unmask.objectives.evaluate import (
    Corrupted,
    Reading,
    check_corrupted,
    per_token,
    read_corrupted,
)
from unmask.objectives.inputs import check_beside, kind_of
from unmask.objectives.nelbo import corrupt_by_count
from unmask.schedules import AnySchedule

Labels = Literal["differs", "masked"]


def fill(batch: Corrupted, reading: Reading, temperature: float | Tensor) -> Tensor:
    """Return (B,N) int64: the data with a draw from the generator at every masked position.

    temperature: ≥ 0, one number or one a row (B,); pass that of generation. No gradient flows back.
    Raises StrategyError for another temperature.
    """
    check_corrupted(batch)
    _check_temperature(temperature, len(batch.tokens))
    row, position = batch.masked.nonzero(as_tuple=True)
    u = uniform(batch.seed[row], 0, position, Purpose.CRITIC)
    temperatures = torch.as_tensor(temperature, dtype=torch.float32, device=row.device)
    drawn, _ = sampling.draw(
        reading.logits.detach(), temperatures.expand(len(batch.tokens))[row], u
    )
    return batch.tokens.masked_scatter(batch.masked, drawn)


def critic_loss(
    judge: Critic,
    batch: Corrupted,
    filled: Tensor,
    *,
    labels: Labels = "differs",
    valid: Tensor | None = None,
    condition: Any = None,
) -> Loss:
    """Return the mean binary cross-entropy of the critic's logits over the maskable positions.

    filled: (B,N) int64, as returned by `fill`. labels: a token counts as wrong if it "differs" from
    the data's token, or if it was "masked", that is, generated (Token-Critic 2209.04439). valid:
    (B,N) bool, False at padding. `nll` is None. Raises StrategyError for other labels.
    """
    _check_judge(judge, labels)
    check_corrupted(batch)
    if not isinstance(filled, Tensor) or filled.shape != batch.tokens.shape:
        raise DataError(f"filled is {kind_of(filled)}: pass what fill returned for this batch")
    check_beside(filled, valid, condition)
    valid = torch.ones_like(batch.masked) if valid is None else valid
    logits = judge(filled, valid=valid, condition=condition)
    logits = logits.squeeze(-1) if logits.dim() == filled.dim() + 1 else logits
    if logits.shape != filled.shape:
        raise LogitsError(
            f"the critic returned {kind_of(logits)}: return one logit for each of {filled.shape}"
        )
    fake = (filled != batch.tokens) if labels == "differs" else batch.masked
    each = F.binary_cross_entropy_with_logits(logits.float(), fake.float(), reduction="none")
    per_example = each.masked_fill(~batch.maskable, 0.0).sum(1)
    return per_token(per_example, batch.maskable, bound=False)


def critic(
    denoiser: Denoiser,
    judge: Critic,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    *,
    schedule: AnySchedule = schedules.linear,
    temperature: float | Tensor = 1.0,
    labels: Labels = "differs",
    time: Tensor | None = None,
    valid: Tensor | None = None,
    condition: Any = None,
) -> Loss:
    """Return the loss of the critic `judge` on a batch filled in by the generator.

    Token-Critic (2209.04439, Algorithm 1). The hidden positions (`corrupt_by_count`) are filled
    with draws at `temperature`, which should be that of generation; no gradient reaches the
    generator. The judge gets the generator's condition. Other arguments as in `count` and
    `critic_loss`; `nll` is None.
    """
    _check_judge(judge, labels)
    batch = corrupt_by_count(denoiser, tokens, maskable, seed, schedule=schedule, time=time)
    _check_temperature(temperature, len(batch.tokens))
    with torch.no_grad():
        reading = read_corrupted(denoiser, batch, valid=valid, condition=condition)
    filled = fill(batch, reading, temperature)
    return critic_loss(judge, batch, filled, labels=labels, valid=valid, condition=condition)


def _check_judge(judge: object, labels: str) -> None:
    if isinstance(judge, type) or not callable(judge):
        raise StrategyError(
            f"judge={judge!r}: pass a critic, such as unmask.SelfCritic(denoiser, width)"
        )
    check_choice("labels", labels, get_args(Labels))


def _check_temperature(temperature: object, rows: int) -> None:
    """Raise StrategyError unless this is a number ≥ 0, or a tensor of one for each row."""
    if isinstance(temperature, Tensor) and temperature.shape in ((), (rows,)):
        right = temperature.dtype != torch.bool and not temperature.is_complex()
        if right and bool(((temperature >= 0) & temperature.isfinite()).all()):
            return
    elif is_number(temperature) and temperature >= 0:  # type: ignore[operator]
        return
    raise StrategyError(
        f"temperature={temperature!r}: pass a number ≥ 0, or a tensor of {rows}, one for each row"
    )
