"""Published methods: each binds one member of every axis, and does nothing else.

Every preset is a function whose keyword arguments have the published defaults and which returns a
`Strategy`; change a part with `Strategy.but`.
"""

from __future__ import annotations

from collections.abc import Sequence

from unmask import schedules
from unmask.decoding.strategy import Strategy
from unmask.ordering import ChoiceNoise, CriticOrder, Probability, Random
from unmask.pace import OneAtATime, Scheduled
from unmask.revision import Never, Remask
from unmask.sampling import Annealed, Draw
from unmask.schedules import AnySchedule
from unmask.types import Critic

Steps = int | Sequence[int]

__all__ = [
    "annealed",
    "confidence",
    "first_hitting",
    "maskgit",
    "random_order",
    "token_critic",
]


def _pace(schedule: AnySchedule, steps: Steps) -> Scheduled:
    return Scheduled(schedules.resolve(schedule), steps)


def annealed(
    steps: Steps = 18,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    keep: float | None = 0.3,
    remask: bool = False,
) -> Strategy:
    """The reference method: x-transformers' NonAutoregressiveWrapper, its defects repaired.

    Draw every unknown position from the best `keep` of the vocabulary at a temperature that falls
    linearly to 0, keep the most probable draws (probability after the filter, before the
    temperature). With remask, committed tokens compete too, scored as the tokens they are.
    Approximate: draw, then choose. With few ids, `keep` leaves little to choose from and rows come
    out alike: pass keep=None.
    """
    return Strategy(
        pace=_pace(schedule, steps),
        draw=Draw(Annealed(temperature), top_k=keep),
        order=Probability(choose="after", of="kept"),
        revise=Remask() if remask else Never(),
        name="annealed",
    )


def maskgit(
    steps: Steps = 12,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    choice_temperature: float = 4.5,
) -> Strategy:
    """MaskGIT (2202.04200): keep the best log p(x̂) + τ(1 − s/T)·Gumbel. Approximate."""
    return Strategy(
        pace=_pace(schedule, steps),
        draw=Draw(temperature),
        order=ChoiceNoise(Probability(choose="after"), choice_temperature),
        name="maskgit",
    )


def random_order(
    steps: Steps = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Exact integer counts at uniformly chosen positions: choose, then draw.

    With one position a step the law is exactly the model's (any-order autoregression, 2110.02037);
    with more, positions committed together are drawn independently.
    """
    return Strategy(
        pace=_pace(schedule, steps), draw=Draw(temperature), order=Random(), name="random_order"
    )


def first_hitting(temperature: float = 1.0) -> Strategy:
    """First-hitting sampler (2409.02908, Algorithm 1): one uniformly chosen position a step; exact.

    The hitting times t ← t·u^(1/n) only matter to a network that is told the time; one that is not
    sees the sequence of states, whose law is this. As many forwards as unknown positions.
    """
    return Strategy(pace=OneAtATime(), draw=Draw(temperature), order=Random(), name="first_hitting")


def confidence(
    steps: Steps = 16, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """Commit where the model's largest probability is highest: choose from the state, then draw.

    Exact with one position a step, because the choice never looks at the draw; with more, positions
    committed together are drawn independently.
    """
    return Strategy(
        pace=_pace(schedule, steps),
        draw=Draw(temperature),
        order=Probability(choose="first"),
        name="confidence",
    )


def token_critic(
    critic: Critic,
    steps: Steps = 18,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    noise_scale: float = 1.0,
    remask: bool = True,
) -> Strategy:
    """Token-Critic (2209.04439, Algorithm 2): fill all, keep what the critic finds least wrong.

    The critic ranks every generated position, so earlier tokens may be re-masked; its logits get
    Gumbel noise that fades to 0. Approximate.
    """
    return Strategy(
        pace=_pace(schedule, steps),
        draw=Draw(temperature),
        order=ChoiceNoise(CriticOrder(critic), noise_scale),
        revise=Remask() if remask else Never(),
        name="token_critic",
    )
