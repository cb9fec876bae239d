"""The plain rules: the reference method, exact orders, and state-scored ones."""

from __future__ import annotations

from unmask import schedules
from unmask.commit import OneAtATime, TopK
from unmask.decoding.strategy import Strategy
from unmask.orders import ChoiceNoise, Margin, Probability, Random
from unmask.revise import Never, Remask
from unmask.sampling import Annealed, Sampling
from unmask.schedules import AnySchedule


def annealed(
    steps: int = 18,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    keep: float | None = 0.3,
    remask: bool = False,
) -> Strategy:
    """The reference method: x-transformers' NonAutoregressiveWrapper, its defects repaired.

    Drawing every unknown position from the best `keep` of the vocabulary, at a temperature that
    falls linearly to 0, keep the most probable draws (probability after the filter, before the
    temperature). With remask, committed tokens compete too, scored as the tokens they are.
    Approximate: draw, then choose. With few ids, `keep` leaves little to choose from and rows come
    out alike: pass keep=None.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(Annealed(temperature), top_k=keep),
        order=Probability(choose="after", of="kept"),
        revise=Remask() if remask else Never(),
        name="annealed",
    )


def random_order(
    steps: int = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Exact integer counts at uniformly chosen positions: choose, then draw.

    Exact with one position a step (any-order autoregression, 2110.02037); with more, positions
    committed together are drawn independently.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(temperature),
        order=Random(),
        name="random_order",
    )


def first_hitting(temperature: float = 1.0) -> Strategy:
    """First-hitting sampler (2409.02908, Algorithm 1): one uniformly chosen position a step.

    The hitting times t ← t·u^(1/n) only matter to a network that is told the time; one that is not
    sees the sequence of states, whose law is this. Exact with one position a step, its only plan:
    as many forwards as unknown positions.
    """
    return Strategy(
        commit=TopK(OneAtATime()),
        sampling=Sampling(temperature),
        order=Random(),
        name="first_hitting",
    )


def confidence(
    steps: int = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Commit where the model's largest probability is highest: choose from the state, then draw.

    Exact with one position a step, because the choice never looks at the draw; with more, positions
    committed together are drawn independently.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(temperature),
        order=Probability(choose="first"),
        name="confidence",
    )


def top_margin(
    steps: int = 16,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    choice_temperature: float = 0.0,
) -> Strategy:
    """Top probability margin (2502.06768): commit where p₁ − p₂ is largest, choose then draw.

    choice_temperature: scale of Gumbel noise on the margin (0.5 in the paper's code).
    Exact with one position a step, as `confidence`.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(temperature),
        order=ChoiceNoise(Margin(), choice_temperature, annealed=False),
        name="top_margin",
    )
