"""Presets of simple rules: x-transformers' method, exact orders, and orders by confidence."""

from __future__ import annotations

from unmask import schedules
from unmask.commit import OneAtATime, TopK
from unmask.decoding.strategy import Strategy
from unmask.groups import Groups
from unmask.orders import ChoiceNoise, Margin, Probability, Random
from unmask.presets.parts import planned, remasking
from unmask.sampling import Annealed, Sampling
from unmask.schedules import AnySchedule


def annealed(
    steps: int = 18,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    keep: float | None = 0.3,
    remask: bool = False,
) -> Strategy:
    """The rule of x-transformers' NonAutoregressiveWrapper, without its defects (docs/compat.md).

    Draw every unknown position from the best `keep` (a share) of the ids legal there, at a
    temperature that falls linearly to 0, and keep the most probable draws (by the probability after
    the filter and before the temperature). With remask, committed tokens compete too, scored by
    their own probability. Approximate: draw, then choose. With few ids, `keep` leaves few choices
    and rows become similar: pass keep=None.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(Annealed(temperature), top_k=keep),
        order=Probability(choose="after", of="kept"),
        revise=remasking(remask),
        name="annealed",
    )


def random_order(
    steps: int = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Exact integer counts at uniformly chosen positions: choose, then draw.

    Exact with one position a step (any-order autoregression, 2110.02037); with more, positions
    committed together are drawn independently.
    """
    return planned("random_order", Random(), steps, schedule, temperature)


def first_hitting(
    temperature: float = 1.0, block: int | None = None, top_p: float | None = None
) -> Strategy:
    """First-hitting sampler (2409.02908, Algorithm 1): one uniformly chosen position a step.

    The paper's hitting times t ← t·u^(1/n) matter only to a network with the time as input; for
    others this gives the same law. Exact with one position a step, which is its only plan: as many
    forwards as unknown positions. In blocks counted from 0 and with top_p, the sampler of BD3-LM
    (2503.09573).
    """
    return Strategy(
        commit=TopK(OneAtATime()),
        sampling=Sampling(temperature, top_p=top_p),
        order=Random(),
        groups=None if block is None else Groups.blocks(block),
        name="first_hitting",
    )


def confidence(
    steps: int = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Commit where the model's largest probability is highest: choose from the state, then draw.

    Exact with one position a step, because the choice does not depend on the draw; with more,
    positions committed together are drawn independently.
    """
    return planned("confidence", Probability(), steps, schedule, temperature)


def top_margin(
    steps: int = 16,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    choice_temperature: float = 0.0,
) -> Strategy:
    """Top probability margin (2502.06768): commit where p₁ − p₂ is largest; choose, then draw.

    choice_temperature: scale of Gumbel noise on the margin (0.5 in the paper's code).
    Exact with one position a step, as `confidence`.
    """
    order = ChoiceNoise(Margin(), choice_temperature, annealed=False)
    return planned("top_margin", order, steps, schedule, temperature)
