"""Presets for several tokens at a place: codebook levels of audio, tracks of a protein."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.commit import ByGroup, Scheduled, TopK, TopSpans
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.groups import Groups
from unmask.guidance import Guidance, RatioWeight
from unmask.orders import ChoiceNoise, Entropy, Order, Probability, Random
from unmask.presets.parts import track_groups
from unmask.sampling import Annealed, Sampling, SquaredDecay
from unmask.schedules import AnySchedule


def soundstorm(
    levels: int = 4,
    steps: int = 16,
    later_steps: int = 1,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    choice_temperature: float = 4.5,
) -> Strategy:
    """SoundStorm (2305.09636): codebook levels in turn, each by MaskGIT's rule.

    The first level takes `steps`, the others `later_steps`. Levels are interleaved: position
    t·levels + k is level k of time t. Approximate.
    """
    return Strategy(
        commit=TopK(ByGroup([Scheduled(schedule, steps), Scheduled(schedule, later_steps)])),
        sampling=Sampling(temperature),
        order=ChoiceNoise(Probability(choose="after"), choice_temperature),
        groups=Groups.levels(levels),
        name="soundstorm",
    )


def magnet(
    levels: int = 4,
    steps: int = 20,
    later_steps: int = 10,
    span: int = 3,
    overlapping: bool = False,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 3.0,
    top_p: float | None = 0.9,
    guidance: float | None = None,
) -> Strategy:
    """MAGNeT (2401.04577): levels in turn, spans of neighbouring times ranked as one.

    The score of a span is the probability of its likeliest token under the distribution it was
    drawn from (the authors' code scores before top_p). The temperature falls to 0 within each
    level. span: times in a span. guidance: the weight w = γ·guidance + (1 − γ)·1 of u + w·(c − u)
    (10 in the paper), for canvases with a condition. The first level takes `steps`, the others
    `later_steps`. Approximate.
    """
    plan = ByGroup([Scheduled(schedule, steps), Scheduled(schedule, later_steps)])
    return Strategy(
        commit=TopSpans(plan, span, levels, overlapping),
        sampling=Sampling(Annealed(temperature), top_p=top_p),
        order=Probability(choose="after", of="sampling"),
        groups=Groups.levels(levels),
        guidance=None if guidance is None else Guidance(RatioWeight(guidance, 1.0)),
        name="magnet",
    )


def esm3(
    steps: int = 20,
    schedule: AnySchedule = schedules.cosine,
    order: Literal["random", "entropy"] = "random",
    temperature: float = 1.0,
    tracks: int = 1,
) -> Strategy:
    """ESM3's iterative sampling: ⌊γU + 0.1⌋ stay unknown, temperature falls to 0, track by track.

    order: "random" for uniformly chosen positions, "entropy" for those of least entropy. tracks:
    number of tracks, interleaved position by position. steps: steps of each track. Approximate,
    because temperatures below 1 sharpen the law.
    """
    orders: dict[str, Order] = {"random": Random(), "entropy": Entropy()}
    if not isinstance(order, str) or order not in orders:
        raise StrategyError(f"order={order!r}: pass 'random' or 'entropy'")
    return Strategy(
        commit=TopK(Scheduled(schedule, steps, lift=0.1)),
        sampling=Sampling(SquaredDecay(temperature)),
        order=orders[order],
        groups=track_groups(tracks),
        name="esm3",
    )
