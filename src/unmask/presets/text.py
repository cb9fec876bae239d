"""Presets for masked language models: LLaDA, Dream, MDLM, SDAR, Fast-dLLM v2, Mask-Predict."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.commit import Ancestral, Even, Remaining, Threshold, ThresholdOrShare, TopK
from unmask.core.checks import check_choice
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.groups import Groups
from unmask.orders import ChoiceNoise, Entropy, Margin, Order, Probability, RevealTime, Stored
from unmask.presets.parts import in_blocks, planned
from unmask.revise import Remask
from unmask.sampling import Sampling
from unmask.schedules import AnySchedule
from unmask.stopping import WideGap


def mask_predict(
    steps: int = 10, schedule: AnySchedule = schedules.linear, temperature: float = 0.0
) -> Strategy:
    """Mask-Predict (1904.09324, section 3.1): fill all by the likeliest ids, re-mask the worst.

    Committed tokens are ranked by the probability that they had when committed. Approximate.
    """
    return planned("mask_predict", Stored(), steps, schedule, temperature, revise=Remask())


def mdlm(
    steps: int = 64, schedule: AnySchedule = schedules.linear, temperature: float = 1.0
) -> Strategy:
    """MDLM's ancestral sampler (2406.07524): reveal each position with probability (m_t − m_s)/m_t.

    Steps that reveal nothing are not taken, so a row costs at most `steps` forwards. Its law nears
    the model's as steps grow.
    """
    return Strategy(
        commit=TopK(Ancestral(schedule, steps)),
        sampling=Sampling(temperature),
        order=RevealTime(),
        name="mdlm",
    )


def llada(steps: int = 32, block: int = 32, temperature: float = 0.0) -> Strategy:
    """LLaDA (2502.09992, low-confidence re-masking): blocks left to right, best n/T a step.

    n/T: positions of a block divided by `steps`. Blocks are counted from the end of each row's
    prompt. Positions are ranked by the probability of the token drawn. Approximate; deterministic
    at temperature 0, the published default.
    """
    return in_blocks("llada", TopK(Even(steps)), block, temperature, "prompt")


def prophet(
    steps: int = 32,
    block: int | None = None,
    early: float = 7.5,
    middle: float = 5.0,
    late: float = 2.5,
    temperature: float = 0.0,
) -> Strategy:
    """Prophet (2508.19982): as `llada`, but all is committed once the likeliest ids lead by enough.

    The lead is the mean of largest minus second largest logit over the unknown positions, at least
    `early`, `middle` or `late` in this third of the steps. The authors' loop looks at the answer's
    positions where it is told them; here all unknown ones count. With blocks, each is filled by
    its own lead. Approximate.
    """
    stopping = (WideGap(early, middle, late),)
    commit = TopK(Even(steps))
    return in_blocks("prophet", commit, block, temperature, "prompt", stopping=stopping)


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
    """Dream (2508.15487): four orders, by the paper's names; "origin" is ancestral. Approximate.

    A step commits ⌊n·(1 − s/t)⌋ of the n unknown positions, with t from 1 to epsilon in `steps`
    equal parts and s the next t; the last step commits all. "origin" reveals each position with
    probability 1 − s/t instead. Scores are those of the distribution after top_p and top_k.
    choice_temperature (Dream's alg_temp): positions are sampled from softmax(score /
    choice_temperature) without replacement. Dream's networks predict the next position: wrap them
    with logit_shift=True.
    """
    check_choice("algorithm", algorithm, _DREAM_ORDERS)
    ancestral = algorithm == "origin"
    order = _DREAM_ORDERS[algorithm]
    if choice_temperature is not None:
        if ancestral:
            raise StrategyError(
                f"choice_temperature={choice_temperature!r}: algorithm='origin' does not rank "
                "positions; leave it out, or pass algorithm='entropy'"
            )
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

    p is the probability of the token drawn, under the distribution it is drawn from. steps: steps
    of each block. threshold=None commits the share alone (SDAR's static rule). Approximate.
    """
    sampling = Sampling(temperature, top_k=top_k, top_p=top_p)
    greedy = sampling.temperature == 0
    return Strategy(
        commit=ThresholdOrShare(threshold, block, steps),
        order=Probability(choose="after", of="kept" if greedy else "sampling"),
        sampling=sampling,
        groups=Groups.blocks(block),
        name="sdar",
    )


def llada2(
    threshold: float = 0.95, block: int = 32, steps: int = 32, temperature: float = 0.0
) -> Strategy:
    """LLaDA2.0 (2512.15745): blocks from 0, all p > threshold or else the step's share of a block.

    steps: steps of each block. The network attends to all of a block, so the last block must be
    whole: make the canvas a multiple of `block` and cut the surplus afterwards. Approximate.
    """
    return sdar(threshold, block, steps, temperature).but(name="llada2")


def fast_dllm_v2(
    threshold: float = 0.9, block: int = 32, sub_block: int = 8, temperature: float = 0.0
) -> Strategy:
    """Fast-dLLM v2 (2509.26328): sub-blocks from 0, all p > threshold or else the best one.

    The first token of a block comes first, at a step of its own: it is that of a left-to-right
    model, by the last logit of the block before, which a block-causal network with a logit shift
    has for it. block: size of the network's blocks, a multiple of that of a sub-block. At a
    temperature the first token is drawn like others, where the authors' is the likeliest one.
    Approximate.
    """
    return in_blocks("fast_dllm_v2", Threshold(threshold, strict=True), sub_block, temperature).but(
        groups=Groups.blocks(sub_block, lead_every=block)
    )
