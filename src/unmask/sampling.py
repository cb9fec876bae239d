"""Drawing a token from logits: shaping (temperature, top-k, top-p, min-p) and the two-level draw.

Shapes: M rows looked at, V vocabulary. Everything here is float32 or better whatever comes in.

The draw inverts the cumulative distribution in two levels: a block of about √V tokens by its mass,
then a token inside the block, each with its own uniform. Rare tokens keep their mass (block sums in
float32, their running totals in float64) and no noise tensor of vocabulary size is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.checks import is_number
from unmask.errors import StrategyError

NEG_INF = float("-inf")
COLD = 1e-6  # below this temperature the draw is greedy: dividing by less overflows
Temperature = float | Callable[..., Tensor]


@dataclass(frozen=True)
class Annealed:
    """Temperature T_s = start·(T − s)/T, so that the last step is greedy (the reference's rule)."""

    start: float = 1.0

    def __post_init__(self) -> None:
        _check_temperature(self.start)

    def __call__(self, progress: Tensor) -> Tensor:
        """progress (B,) in (0, 1] -> temperature (B,)."""
        return self.start * (1 - progress)


@dataclass(frozen=True)
class SquaredDecay:
    """Temperature max(start − i/(n − 1), 0.001)², i = 0 .. n − 1 the step (ESM3)."""

    start: float = 1.0
    takes_steps = True

    def __post_init__(self) -> None:
        _check_temperature(self.start)

    def __call__(self, progress: Tensor, steps: Tensor) -> Tensor:
        """progress (B,) in (0, 1], steps (B,) -> temperature (B,)."""
        share = (progress * steps - 1) / (steps - 1).clamp(min=1)
        return (self.start - share).clamp(min=0.001) ** 2


@dataclass(frozen=True)
class Draw:
    """How a token is drawn from its logits; the filters apply in the order of the fields.

    temperature: a number ≥ 0 (0 is greedy), or a callable progress (B,) -> (B,) such as `Annealed`.
    top_k: keep this many ids (int ≥ 1), or this fraction of the vocabulary (float in (0, 1]).
    top_p: keep the smallest set of ids holding at least this mass, in (0, 1] (1904.09751).
    min_p: keep ids at least this likely relative to the likeliest, in [0, 1) (2407.01082).
    race: draw by the largest of logits + temperature·Gumbel, one noise for each id. The law is the
    same and the cost higher; `ordering.Noised` ranks by that noise.
    Raises StrategyError for anything out of range.
    """

    temperature: Temperature = 1.0
    top_k: int | float | None = None
    top_p: float | None = None
    min_p: float | None = None
    race: bool = False

    def __post_init__(self) -> None:
        if not callable(self.temperature):
            _check_temperature(self.temperature)
        if self.top_k is not None:
            _check_top_k(self.top_k)
        if self.top_p is not None and not (is_number(self.top_p) and 0 < self.top_p <= 1):
            raise StrategyError(f"top_p={self.top_p!r}: pass a mass in (0, 1], or None to keep all")
        if self.min_p is not None and not (is_number(self.min_p) and 0 <= self.min_p < 1):
            raise StrategyError(f"min_p={self.min_p!r}: pass a ratio in [0, 1), or None")

    @property
    def plain(self) -> bool:
        """Whether tokens are drawn from the model's own distribution, unshaped."""
        filters = (self.top_k, self.top_p, self.min_p)
        return filters == (None, None, None) and self.temperature == 1 and not self.race

    def temperatures(self, progress: Tensor, steps: Tensor | None = None) -> Tensor:
        """(B,) float32 temperature of each row at its progress r = s/T, of T = steps (B,)."""
        if not callable(self.temperature):
            return torch.full_like(progress, self.temperature, dtype=torch.float32)
        counts = getattr(self.temperature, "takes_steps", False)
        warm = self.temperature(*((progress, steps) if counts else (progress,))).float()
        if warm.shape != progress.shape or not bool((warm >= 0).all()):
            raise StrategyError(
                f"the temperature function returned {warm.tolist()} for progress "
                f"{progress.tolist()}: return one number ≥ 0 for each row"
            )
        return warm

    def keep(self, logits: Tensor, temperature: Tensor) -> Tensor:
        """logits (M,V) with the ids that the filters drop at -inf. temperature (M,)."""
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None or self.min_p is not None:
            # Nucleus and min-p are statements about the tempered distribution; 0 keeps the best.
            warm = logits / temperature.clamp(min=1e-6).unsqueeze(1)
            drop = torch.zeros_like(logits, dtype=torch.bool)
            if self.top_p is not None and self.top_p < 1:
                drop |= _outside_nucleus(warm, self.top_p)
            if self.min_p:
                drop |= warm < warm.amax(1, keepdim=True) + math.log(self.min_p)
            logits = logits.masked_fill(drop, NEG_INF)
        return logits


def _check_temperature(value: float) -> None:
    if not (is_number(value) and value >= 0):
        raise StrategyError(f"temperature={value!r}: pass a number ≥ 0 (0 is greedy)")


def _check_top_k(k: int | float) -> None:
    fraction = isinstance(k, float) and 0 < k <= 1
    count = isinstance(k, int) and not isinstance(k, bool) and k >= 1
    if not (fraction or count):
        raise StrategyError(
            f"top_k={k!r}: pass how many ids to keep (an int ≥ 1) or which fraction of the "
            "vocabulary (a float in (0, 1])"
        )


def keep_top_k(logits: Tensor, k: int | float) -> Tensor:
    """(M,V) with all but the k best ids of each row at -inf.

    A float keeps that fraction, rounded up, of the ids that are legal (not at -inf) in each row.
    """
    if isinstance(k, int):
        ceiling, count = k, None
    else:
        # The small constant undoes rounding: 0.3 of ten ids is three, not ⌈3.0000000000000004⌉.
        ceiling = max(1, math.ceil(k * logits.shape[1] - 1e-9))
        count = (k * (logits > NEG_INF).sum(1, keepdim=True).double() - 1e-9).ceil().clamp(min=1)
    if ceiling >= logits.shape[1]:
        return logits
    best, ids = logits.topk(ceiling, dim=1)
    if count is not None:
        best = best.masked_fill(torch.arange(ceiling, device=logits.device) >= count, NEG_INF)
    return torch.full_like(logits, NEG_INF).scatter(1, ids, best)


def _outside_nucleus(logits: Tensor, mass: float) -> Tensor:
    """(M,V) bool: True outside the smallest set of ids that holds at least `mass`."""
    probs, ids = logits.softmax(1).sort(dim=1, descending=True, stable=True)
    before = probs.cumsum(1) - probs
    return torch.zeros_like(probs, dtype=torch.bool).scatter(1, ids, before >= mass)


def draw(logits: Tensor, temperature: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One id per row from softmax(logits / temperature), the best one where that is below COLD.

    logits (M,V) float32, temperature (M,), u (M,2) float64. Returns ids (M,) int64 and the
    log-normaliser (M,) of `tempered(logits, temperature)`.
    """
    token, normaliser = invert(tempered(logits, temperature.unsqueeze(1)), u)
    greedy = temperature < COLD
    best = logits.max(1)
    return best.indices.where(greedy, token), best.values.where(greedy, normaliser)


def tempered(logits: Tensor, temperature: Tensor) -> Tensor:
    """logits / temperature, and the logits themselves where it is greedy. Shapes broadcast."""
    return logits / temperature.where(temperature >= COLD, 1.0)


def invert(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Draw one id per row by inverting the distribution in two levels.

    logits (M,V) float32, at least one finite per row; u (M,2) float64 in (0, 1).
    Returns ids (M,) int64 and the log-normaliser (M,) float32 of the logits.
    """
    peak = logits.amax(1, keepdim=True)
    mass = (logits - peak).exp_()
    width = max(1, math.isqrt(mass.shape[1]))
    blocks = _pad_to_multiple(mass, width).unflatten(1, (-1, width))
    totals = blocks.sum(2).double()
    block, total = _pick(totals, u[:, 0])
    inside = blocks.gather(1, block.view(-1, 1, 1).expand(-1, 1, width)).squeeze(1)
    within, _ = _pick(inside.double(), u[:, 1])
    return block * width + within, (peak.squeeze(1) + total.log().float())


def _pad_to_multiple(mass: Tensor, width: int) -> Tensor:
    short = -mass.shape[1] % width
    return torch.nn.functional.pad(mass, (0, short)) if short else mass


def _pick(mass: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """First index whose running total exceeds u·total: (M,K) float64, (M,) -> (M,) and total (M,).

    Strictly exceeds, so an entry without mass is never picked.
    """
    running = mass.cumsum(1)
    total = running[:, -1]
    picked = (running <= (u * total).unsqueeze(1)).sum(1)
    return picked.clamp(max=mass.shape[1] - 1), total


def margin(logits: Tensor, log_normaliser: Tensor) -> Tensor:
    """(M,): largest probability minus the second largest (2502.06768). One id left: its own."""
    if logits.shape[1] == 1:
        return (logits[:, 0] - log_normaliser).exp()
    best = (logits.topk(2, dim=1).values - log_normaliser.unsqueeze(1)).exp()
    return best[:, 0] - best[:, 1]


def entropy(logits: Tensor, log_normaliser: Tensor) -> Tensor:
    """(M,) nats; ids at -inf contribute nothing."""
    logp = logits - log_normaliser.unsqueeze(1)
    return -(logp.exp() * logp.masked_fill(logp == NEG_INF, 0.0)).sum(1)
