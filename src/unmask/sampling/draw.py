"""How a token is drawn from its logits: temperature, filters, race.

Shapes: B rows, M positions looked at, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.checks import is_number
from unmask.errors import StrategyError
from unmask.host import waits
from unmask.sampling.best import Best
from unmask.sampling.filters import kept

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
        return not self.filtered and self.temperature == 1 and not self.race

    def temperatures(self, progress: Tensor, steps: Tensor | None = None) -> Tensor:
        """(B,) float32 temperature of each row at its progress r = s/T, of T = steps (B,)."""
        if not callable(self.temperature):
            return torch.full_like(progress, self.temperature, dtype=torch.float32)
        counts = getattr(self.temperature, "takes_steps", False)
        warm = self.temperature(*((progress, steps) if counts else (progress,))).float()
        wrong = warm.shape != progress.shape
        if wrong or not (waits(warm.device) or bool((warm >= 0).all())):
            raise StrategyError(
                f"the temperature function returned {warm.tolist()} for progress "
                f"{progress.tolist()}: return one number ≥ 0 for each row"
            )
        return warm

    @property
    def filters(self) -> tuple[int | float | None, float | None, float | None]:
        """top_k, top_p and min_p."""
        return self.top_k, self.top_p, self.min_p

    @property
    def filtered(self) -> bool:
        """Whether some ids are not drawn."""
        return self.filters != (None, None, None)

    def kept(self, logits: Tensor, temperature: Tensor, room: Tensor) -> Best:
        """Which ids may be drawn, from logits (M,V), temperature (M,). room (M,V) is written to."""
        return kept(logits, temperature, *self.filters, room=room)


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
