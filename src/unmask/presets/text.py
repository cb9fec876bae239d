"""Masked language models: LLaDA, Dream, MDLM, Mask-Predict."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.commit import Ancestral, Even, Remaining, Threshold, ThresholdOrShare, TopK
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError, nearest
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

    Blocks are counted from the end of each row's prompt. steps: of each block. Ranked by the
    probability of the token drawn. Approximate; at temperature 0, the published default,
    deterministic.
    """
    return Strategy(
        commit=TopK(Even(steps)),
        order=Probability(choose="after"),
        sampling=Sampling(temperature),
        groups=blocks(block, "prompt"),
        name="llada",
    )


_DREAM_ORDERS: dict[str, Order] = {
    "origin": RevealTime(),
    "maskgit_plus": Probability(choose="after", of="kept", log=False),
    "topk_margin": Margin(of="kept"),
    "entropy": Entropy(of="kept"),
}


def dream(
    steps: int = 512,
    algorithm: Literal["origin", "maskgit_plus", "topk_margin", "entropy"] = "origin",
    temperature: float = 0.0,
    top_p: float | None = None,
    top_k: int | None = None,
    choice_temperature: float | None = None,
    epsilon: float = 1e-3,
) -> Strategy:
    """Dream (2508.15487): four orders, by its names; "origin" is ancestral. Approximate.

    ⌊n·(1 − s/t)⌋ of the n still unknown at a step, t from 1 to epsilon in `steps` equal parts, and
    all at the last; "origin" reveals each with that probability. Scores are of the distribution
    after top_p and top_k. choice_temperature: positions are sampled from softmax(score / it)
    without replacement (its alg_temp). Dream's networks predict the next position: wrap them with
    logit_shift=True.
    """
    ancestral = algorithm == "origin"
    if algorithm not in _DREAM_ORDERS:
        raise StrategyError(f"algorithm={algorithm!r}: {nearest(algorithm, _DREAM_ORDERS)}")
    order = _DREAM_ORDERS[algorithm]
    if choice_temperature is not None and ancestral:
        raise StrategyError("algorithm='origin' ranks nothing: leave choice_temperature out")
    if choice_temperature is not None:
        order = ChoiceNoise(order, choice_temperature, annealed=False)
    plan = Ancestral(schedules.linear, steps, epsilon) if ancestral else Remaining(steps, epsilon)
    return Strategy(
        commit=TopK(plan),
        order=order,
        sampling=Sampling(temperature, top_k=top_k, top_p=top_p),
        name="dream",
    )


def sdar(
    threshold: float | None = 0.9,
    block: int = 4,
    steps: int = 4,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Strategy:
    """SDAR (2510.06303): blocks from 0, all p > threshold or else the step's share of the block.

    p is that of the token drawn, under the distribution it is drawn from. steps: of each block.
    threshold=None commits the share alone (its static rule). Approximate.
    """
    return Strategy(
        commit=ThresholdOrShare(threshold, block, steps),
        order=Probability(choose="after", of="sampling" if temperature > 0 else "kept"),
        sampling=Sampling(temperature, top_k=top_k, top_p=top_p),
        groups=blocks(block),
        name="sdar",
    )


def llada2(
    threshold: float = 0.95, block: int = 32, steps: int = 32, temperature: float = 0.0
) -> Strategy:
    """LLaDA2.0 (2512.15745): blocks from 0, all p > threshold or else the step's share of a block.

    steps: of each block. Its network sees all of a block, so that the last one must be whole: make
    the canvas a multiple of `block`, and cut what is too much. Approximate.
    """
    strategy = sdar(threshold, block, steps, temperature)
    return strategy.but(name="llada2")


def fast_dllm_v2(threshold: float = 0.9, block: int = 8, temperature: float = 0.0) -> Strategy:
    """Fast-dLLM v2 (2509.26328): sub-blocks from 0, all p > threshold or else the best one.

    block: of a sub-block, a part of the network's own blocks (32). The authors take the first token
    of a block from the last logit of the block before; here it is drawn as any other. Approximate.
    """
    return Strategy(
        commit=Threshold(threshold, strict=True),
        order=Probability(choose="after"),
        sampling=Sampling(temperature),
        groups=blocks(block),
        name="fast_dllm_v2",
    )
