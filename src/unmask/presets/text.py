"""Masked language models: LLaDA, Dream, MDLM, Mask-Predict."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.commit import Ancestral, Even, TopK
from unmask.core.errors import StrategyError, nearest
from unmask.decoding.strategy import Strategy
from unmask.orders import ChoiceNoise, Entropy, Margin, Order, Probability, RevealTime, Stored
from unmask.presets.parts import blocks
from unmask.revise import Remask
from unmask.sampling import Sampling
from unmask.schedules import AnySchedule


def mask_predict(
    steps: int = 10, schedule: AnySchedule = schedules.linear, temperature: float = 0.0
) -> Strategy:
    """Mask-Predict (1904.09324, section 3.1): fill all by the likeliest ids, re-mask the worst.

    Tokens keep the probability they were predicted with until they are predicted anew. Approximate.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(temperature),
        order=Stored(),
        revise=Remask(),
        name="mask_predict",
    )


def mdlm(
    steps: int = 64, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """MDLM's ancestral sampler (2406.07524): each unknown one revealed with (m_t − m_s)/m_t.

    Steps in which nothing happens to be revealed are not taken, so a row costs at most `steps`
    forwards. Its law nears the model's as steps grow.
    """
    return Strategy(
        commit=TopK(Ancestral(schedule, steps)),
        sampling=Sampling(temperature),
        order=RevealTime(),
        name="mdlm",
    )


def llada(steps: int = 32, block: int = 32, temperature: float = 0.0) -> Strategy:
    """LLaDA (2502.09992, low-confidence re-masking): blocks left to right, best n/T a step.

    steps: of each block. Ranked by the probability of the token drawn. Approximate; at temperature
    0, the published default, deterministic.
    """
    return Strategy(
        commit=TopK(Even(steps)),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        groups=blocks(block),
        name="llada",
    )


def dream(
    steps: int = 512,
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
    return Strategy(
        commit=TopK(Ancestral(schedule, steps)) if ancestral else TopK(schedule, steps),
        sampling=Sampling(temperature, top_p=top_p),
        order=order,
        name="dream",
    )


def _known(algorithm: str, orders: dict[str, Order]) -> str:
    if algorithm not in orders:
        raise StrategyError(f"algorithm={algorithm!r}: {nearest(algorithm, orders)}")
    return algorithm
