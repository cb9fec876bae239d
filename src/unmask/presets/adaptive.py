"""As many positions a step as the network is sure of: no plan, fewer forwards where it is easy."""

from __future__ import annotations

from unmask.commit import EntropyBound, Factor, Stable, Threshold
from unmask.decoding.strategy import Strategy
from unmask.orders import Entropy, Probability
from unmask.presets.parts import blocks
from unmask.revise import Edit, Verify
from unmask.sampling import Sampling
from unmask.stopping import Budget


def threshold(threshold: float = 0.9, block: int | None = 32, temperature: float = 0.0) -> Strategy:
    """Fast-dLLM's threshold (2505.22618): every position with p ≥ threshold, or else the best one.

    In blocks left to right, counted from the end of each row's prompt; block=None takes the whole
    canvas. Approximate.
    """
    return Strategy(
        commit=Threshold(threshold),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        groups=blocks(block, "prompt"),
        name="threshold",
    )


def factor(factor: float = 1.0, block: int | None = 32, temperature: float = 0.0) -> Strategy:
    """Fast-dLLM's factor rule (2505.22618): the k best, (k + 1)(1 − p₍k₎) < factor. Approximate."""
    return Strategy(
        commit=Factor(factor),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        groups=blocks(block, "prompt"),
        name="factor",
    )


def entropy_bound(bound: float = 0.1, temperature: float = 1.0) -> Strategy:
    """EB-Sampler (2505.24857): the most certain positions together, ΣH − max H ≤ bound nats.

    Approximate: chosen from the state and then drawn, so the error is that of drawing together what
    depends on each other, which the bound limits. bound=0 commits several only where they are
    certain.
    """
    return Strategy(
        commit=EntropyBound(bound),
        sampling=Sampling(temperature),
        order=Entropy(),
        name="entropy_bound",
    )


def klass(
    threshold: float = 0.9,
    divergence: float = 0.001,
    history: int = 2,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """KLASS (2511.05664): confident positions whose distribution has come to rest, or the best one.

    Confident: p > threshold; at rest: KL(now‖before) < divergence at each of the last `history`
    steps. Approximate.
    """
    return Strategy(
        commit=Stable(threshold, divergence, history),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        groups=blocks(block, "prompt"),
        name="klass",
    )


def llada21(
    fill: float = 0.7,
    edit: float = 0.5,
    block: int | None = 32,
    temperature: float = 0.0,
    passes: int = 16,
) -> Strategy:
    """LLaDA 2.1's editing (2602.08676): fill where p > fill, overwrite where another has p > edit.

    In blocks from 0. Committed tokens of the open block are edited, and a full block further, until
    a pass changes nothing, at most `passes` times. Approximate.
    """
    return Strategy(
        commit=Threshold(fill, strict=True),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        revise=Edit(edit, passes),
        groups=blocks(block),
        name="llada21",
    )


def wino(
    fill: float = 0.6,
    verify: float = 0.9,
    block: int | None = 128,
    temperature: float = 0.0,
    budget: int | None = None,
) -> Strategy:
    """WINO (2507.18578): commit wide where p > fill, take back what the rest gives p < verify.

    Every step takes back fewer than it commits. Checking costs a forward for each committed
    position of the block (see `revise.Verify`); budget caps a row's forwards. Approximate.
    """
    return Strategy(
        commit=Threshold(fill, strict=True),
        sampling=Sampling(temperature),
        order=Probability(choose="after"),
        revise=Verify(verify),
        groups=blocks(block, "prompt"),
        stopping=() if budget is None else (Budget(budget),),
        name="wino",
    )
