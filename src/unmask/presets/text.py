"""Masked language models: LLaDA, Dream, MDLM, Mask-Predict."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError, nearest
from unmask.ordering import ChoiceNoise, Entropy, Margin, Order, Probability, RevealTime, Stored
from unmask.pace import Ancestral, Even, Steps
from unmask.presets.parts import blocks, scheduled
from unmask.revision import Remask
from unmask.sampling import Draw
from unmask.schedules import AnySchedule


def mask_predict(
    steps: Steps = 10, schedule: AnySchedule = schedules.linear, temperature: float = 0.0
) -> Strategy:
    """Mask-Predict (1904.09324, section 3.1): fill all by the likeliest ids, re-mask the worst.

    Tokens keep the probability they were predicted with until they are predicted anew. Approximate.
    """
    return Strategy(
        pace=scheduled(schedule, steps),
        draw=Draw(temperature),
        order=Stored(),
        revise=Remask(),
        name="mask_predict",
    )


def mdlm(
    steps: Steps = 64, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """MDLM's ancestral sampler (2406.07524): each unknown one revealed with (m_t − m_s)/m_t.

    Steps in which nothing happens to be revealed are not taken, so a row costs at most `steps`
    forwards. Its law nears the model's as steps grow.
    """
    return Strategy(
        pace=Ancestral(schedules.resolve(schedule), steps),
        draw=Draw(temperature),
        order=RevealTime(),
        name="mdlm",
    )


def llada(steps: Steps = 32, block: int = 32, temperature: float = 0.0) -> Strategy:
    """LLaDA (2502.09992, low-confidence re-masking): blocks left to right, best n/T a step.

    steps: of each block. Ranked by the probability of the token drawn. Approximate; at temperature
    0, the published default, deterministic.
    """
    return Strategy(
        pace=Even(steps),
        draw=Draw(temperature),
        order=Probability(choose="after"),
        groups=blocks(block),
        name="llada",
    )


def dream(
    steps: Steps = 512,
    schedule: AnySchedule = schedules.linear,
    algorithm: Literal["maskgit_plus", "origin", "topk_margin", "entropy"] = "maskgit_plus",
    temperature: float = 0.0,
    top_p: float | None = None,
    choice_temperature: float | None = None,
) -> Strategy:
    """Dream (2508.15487): four orders, by its names; "origin" is ancestral. Approximate.

    choice_temperature: positions are sampled from softmax(score / it) without replacement (its
    alg_temp). Dream's networks predict the next position: wrap them with logit_shift=True.
    """
    ancestral = algorithm == "origin"
    orders: dict[str, Order] = {
        "maskgit_plus": Probability(choose="after", log=False),
        "origin": RevealTime(),
        "topk_margin": Margin(),
        "entropy": Entropy(),
    }
    order = orders[_known(algorithm, orders)]
    if choice_temperature is not None and ancestral:
        raise StrategyError("algorithm='origin' ranks nothing: leave choice_temperature out")
    if choice_temperature is not None:
        order = ChoiceNoise(order, choice_temperature, annealed=False)
    pace = scheduled(schedule, steps)
    return Strategy(
        pace=Ancestral(pace.ratio, steps) if ancestral else pace,
        draw=Draw(temperature, top_p=top_p),
        order=order,
        name="dream",
    )


def _known(algorithm: str, orders: dict[str, Order]) -> str:
    if algorithm not in orders:
        raise StrategyError(f"algorithm={algorithm!r}: {nearest(algorithm, orders)}")
    return algorithm
