"""Presets for image tokens: MaskGIT and its relatives."""

from __future__ import annotations

from unmask import schedules
from unmask.decoding.strategy import Strategy
from unmask.guidance import Guidance, LinearWeight
from unmask.orders import ChoiceNoise, Halton, Probability
from unmask.presets.parts import planned
from unmask.schedules import AnySchedule


def maskgit(
    steps: int = 12,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    choice_temperature: float = 4.5,
) -> Strategy:
    """MaskGIT (2202.04200): draw all, keep the best log p(x̂) + τ(1 − s/T)·Gumbel. Approximate.

    choice_temperature: τ.
    """
    order = ChoiceNoise(Probability(choose="after"), choice_temperature)
    return planned("maskgit", order, steps, schedule, temperature)


def muse(
    steps: int = 24,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    choice_temperature: float = 4.5,
    guidance: float | None = None,
) -> Strategy:
    """Muse (2301.00704): MaskGIT's rule, guided by u + w·(c − u) with w rising to `guidance`.

    guidance: w at the last step (3 in the paper), for canvases with a condition. Approximate.
    """
    rising = None if guidance is None else Guidance(LinearWeight(guidance))
    strategy = maskgit(steps, schedule, temperature, choice_temperature)
    return strategy.but(guidance=rising, name="muse")


def amused(
    steps: int = 12,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    choice_temperature: float = 2.0,
    guidance: float | None = None,
) -> Strategy:
    """aMUSEd (2401.01808): MaskGIT's rule with noise from choice_temperature at step 1 to 0.

    guidance: the constant w of u + w·(c − u) (10 in the paper), for canvases with a condition.
    Approximate.
    """
    order = ChoiceNoise(Probability(choose="after"), choice_temperature, inclusive=True)
    constant = None if guidance is None else Guidance(guidance)
    return planned("amused", order, steps, schedule, temperature, guidance=constant)


def halton(
    height: int,
    width: int,
    steps: int = 32,
    schedule: AnySchedule = schedules.arccos,
    temperature: float = 1.0,
) -> Strategy:
    """Halton-MaskGIT (2503.17076): cells of a grid in Halton order, no confidence, no noise.

    Exact with one position a step, because the order does not depend on tokens.
    """
    return planned("halton", Halton(height, width), steps, schedule, temperature)
