"""How a token is drawn from its logits: temperature, filters, Gumbel race.

Shapes: B rows, M positions queried, V vocabulary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unmask.core.checks import check_flag, is_integer, is_number
from unmask.core.inversion import COLD
from unmask.errors import StrategyError
from unmask.sampling.bias import Bias, as_bias, check_bias

HOTTEST = 1e30
"""The highest temperature: logits may be multiplied by its reciprocal in float32."""

Temperature = float | Callable[..., Tensor]
"""A number, a `TemperatureRule`, or a function of progress (B,) alone."""


class TemperatureRule(ABC):
    """A temperature that changes from step to step."""

    @abstractmethod
    def __call__(self, progress: Tensor, steps: Tensor) -> Tensor:
        """Return (B,): the temperature at progress (B,) in (0, 1], of steps (B,) in all."""


@dataclass(frozen=True)
class Annealed(TemperatureRule):
    """Temperature T_s = start·(T − s)/T, so that the last step is greedy (the reference's rule)."""

    start: float = 1.0

    def __post_init__(self) -> None:
        _check_temperature(self.start)

    def __call__(self, progress: Tensor, steps: Tensor) -> Tensor:
        return self.start * (1 - progress)


@dataclass(frozen=True)
class LinearDecay(TemperatureRule):
    """Temperature end + (start − end)·(T − s + 1)/T: start at first, near end at last.

    DiffusionGemma's rule.
    """

    start: float = 0.8
    end: float = 0.4

    def __post_init__(self) -> None:
        _check_temperature(self.start)
        _check_temperature(self.end)

    def __call__(self, progress: Tensor, steps: Tensor) -> Tensor:
        return self.end + (self.start - self.end) * (1 - progress + 1 / steps)


@dataclass(frozen=True)
class SquaredDecay(TemperatureRule):
    """Temperature max(start − i/(n − 1), 0.001)², i = 0 .. n − 1 the step (ESM3)."""

    start: float = 1.0

    def __post_init__(self) -> None:
        _check_temperature(self.start, math.sqrt(HOTTEST))

    def __call__(self, progress: Tensor, steps: Tensor) -> Tensor:
        share = (progress * steps - 1) / (steps - 1).clamp(min=1)
        return (self.start - share).clamp(min=0.001) ** 2


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from its logits; the filters apply in the order of the fields.

    temperature: a number from 0 (greedy) to 1e30; a `TemperatureRule` such as `Annealed()`, called
    with progress (B,) and steps (B,); or any other callable, called with progress alone -> (B,).
    top_k: keep this many ids (int ≥ 1), or this fraction, rounded up, of the ids legal at the
    position (float in (0, 1]); 1.0 keeps all and becomes None, because it equals the int 1, which
    keeps one id.
    top_p: keep the smallest set of ids holding at least this mass, in (0, 1] (1904.09751).
    min_p: keep ids at least this likely relative to the likeliest, in [0, 1) (2407.01082).
    gumbel: draw by a Gumbel race, the largest of logits + temperature·Gumbel, one noise for each
    id. The law is the same and the cost higher; `orders.Noised` ranks by that noise.
    bias: numbers from -1e4 to 1e4 added to the logits of ids before all of this, as in {7: -100.0}
    (`logit_bias` of OpenAI's API); kept as pairs by rising id. Tokens are drawn from these logits,
    and `sampling_logprob` and the statistics `kept_...` are of them; the record (`logprob`) is the
    model's.
    Raises StrategyError for anything out of range.
    """

    temperature: Temperature = 1.0
    top_k: int | float | None = None
    top_p: float | None = None
    min_p: float | None = None
    gumbel: bool = False
    bias: Bias = ()

    def __post_init__(self) -> None:
        if isinstance(self.temperature, type):
            raise StrategyError(
                f"temperature={self.temperature!r}: pass a number ≥ 0, a rule such as Annealed(), "
                "or a function of progress"
            )
        if not callable(self.temperature):
            _check_temperature(self.temperature)
        if isinstance(self.top_k, float) and self.top_k == 1:
            object.__setattr__(self, "top_k", None)
        share = isinstance(self.top_k, float) and 0 < self.top_k <= 1
        if not (self.top_k is None or share or is_integer(self.top_k, 1)):
            raise StrategyError(
                f"top_k={self.top_k!r}: pass how many ids to keep (an int ≥ 1) or which fraction "
                "of the ids legal at a position (a float in (0, 1])"
            )
        if self.top_p is not None and not (is_number(self.top_p) and 0 < self.top_p <= 1):
            raise StrategyError(f"top_p={self.top_p!r}: pass a mass in (0, 1], or None to keep all")
        check_flag("gumbel", self.gumbel)
        object.__setattr__(self, "bias", as_bias(self.bias))
        if self.min_p is not None and not (is_number(self.min_p) and 0 <= self.min_p < 1):
            raise StrategyError(f"min_p={self.min_p!r}: pass a ratio in [0, 1), or None")

    @cached_property
    def plain(self) -> bool:
        """Whether tokens are drawn from the model's own distribution, unshaped."""
        return not (self.filtered or self.gumbel or self.bias) and self.temperature == 1

    @cached_property
    def unbiased(self) -> Sampling:
        """The same without a bias."""
        return replace(self, bias=())

    def check(self, vocab: int) -> None:
        """Raise StrategyError unless every id with a bias is inside the vocabulary."""
        check_bias(self.bias, vocab)

    def temperatures(self, progress: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(B,) float64: the temperature of a step, from r = s/T and T of each row."""
        if not callable(self.temperature):
            return np.full_like(progress, self.temperature)
        r, rule = torch.from_numpy(progress), isinstance(self.temperature, TemperatureRule)
        values = self.temperature(r, torch.from_numpy(steps)) if rule else self.temperature(r)
        found = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if found.shape != progress.shape or not ((found >= 0) & (found <= HOTTEST)).all():
            raise StrategyError(
                f"the temperature function returned {found.tolist()} for progress "
                f"{progress.tolist()}: return one number ≥ 0 for each row, at most {HOTTEST:g}"
            )
        return found.astype(np.float64)

    @cached_property
    def filters(self) -> tuple[int | float | None, float | None, float | None]:
        """top_k, top_p and min_p."""
        return self.top_k, self.top_p, self.min_p

    @cached_property
    def filtered(self) -> bool:
        """Whether some ids are not drawn."""
        return self.filters != (None, None, None)


def _check_temperature(value: float, most: float = HOTTEST) -> None:
    if not (is_number(value) and 0 <= value <= most):
        raise StrategyError(
            f"temperature={value!r}: pass a number ≥ 0 (0 is greedy), at most {most:g}"
        )


class Temperatures:
    """The temperatures (M,) of a draw: one for all positions, or one each.

    value: one number ≥ 0, or (M,) float32. some_greedy: whether one of them is below COLD.
    always_greedy: every draw is the likeliest id, known without looking. greedy: (M,) bool, where
    the likeliest id is drawn; None where that is nowhere or everywhere. rate: 1/temperature, 1
    where it is greedy, one number or (M,1).
    """

    def __init__(self, value: float | Tensor, some_greedy: bool):
        self.value, self.some_greedy = value, some_greedy
        self.greedy: Tensor | None = None
        self.rate: float | Tensor
        if isinstance(value, Tensor):
            self.always_greedy = False
            self.greedy = value < COLD if some_greedy else None
            warm = value if self.greedy is None else value.masked_fill(self.greedy, 1.0)
            self.rate = (1 / warm).unsqueeze(1)
        else:
            self.always_greedy = some_greedy
            self.rate = 1.0 if some_greedy else float(1 / np.float32(value))

    def take(self, part: slice | Tensor) -> Temperatures:
        """These positions alone."""
        if not isinstance(self.value, Tensor):
            return self
        return Temperatures(self.value[part], self.some_greedy)
