"""Presets without a plan, which commit at each step all positions that pass a bound."""

from __future__ import annotations

from unmask.commit import EntropyBound, Factor, Stable, Threshold
from unmask.decoding.strategy import Strategy
from unmask.orders import Entropy
from unmask.presets.parts import in_blocks
from unmask.revise import Edit, Verify
from unmask.sampling import Sampling
from unmask.stopping import Budget


def threshold(threshold: float = 0.9, block: int | None = 32, temperature: float = 0.0) -> Strategy:
    """Fast-dLLM's threshold (2505.22618): every position with p ≥ threshold, or else the best one.

    In blocks left to right, counted from the end of each row's prompt; block=None takes the whole
    canvas. Approximate.
    """
    return in_blocks("threshold", Threshold(threshold), block, temperature, "prompt")


def factor(factor: float = 1.0, block: int | None = 32, temperature: float = 0.0) -> Strategy:
    """Fast-dLLM's factor rule (2505.22618): the k best, with (k + 1)(1 − p₍k₎) < factor.

    In blocks as in `threshold`. Approximate.
    """
    return in_blocks("factor", Factor(factor), block, temperature, "prompt")


def entropy_bound(bound: float = 0.1, temperature: float = 1.0) -> Strategy:
    """EB-Sampler (2505.24857): the most certain positions together, ΣH − max H ≤ bound nats.

    Approximate: positions are chosen from the state and then drawn independently, although their
    tokens depend on each other; the bound limits this error. With bound=0, several positions are
    committed together only if they are certain.
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
    """KLASS (2511.05664): confident positions with a stable distribution, or else the best one.

    Confident: p > threshold. Stable: KL(now‖before) < divergence, in nats, at each of the last
    `history` steps. In blocks as in `threshold`. Approximate.
    """
    commit = Stable(threshold, divergence, history)
    return in_blocks("klass", commit, block, temperature, "prompt")


def llada21(
    fill: float = 0.7,
    edit: float = 0.5,
    block: int | None = 32,
    temperature: float = 0.0,
    passes: int = 16,
) -> Strategy:
    """LLaDA 2.1 (2602.08676): commit tokens with p > fill, replace them by others with p > edit.

    In blocks from 0. Committed tokens of the open block are edited at every step; a full block is
    edited until a pass changes nothing, at most `passes` times. Approximate.
    """
    commit = Threshold(fill, strict=True)
    return in_blocks("llada21", commit, block, temperature, revise=Edit(edit, passes))


def wino(
    fill: float = 0.6,
    verify: float = 0.9,
    block: int | None = 128,
    temperature: float = 0.0,
    budget: int | None = None,
) -> Strategy:
    """WINO (2507.18578): commit tokens with p > fill, re-mask those with p(· | others) < verify.

    In blocks as in `threshold`. Every step re-masks fewer positions than it commits. Verification
    costs a forward for each committed position of the block (see `revise.Verify`); budget limits a
    row's forwards. Approximate.
    """
    strategy = in_blocks("wino", Threshold(fill, strict=True), block, temperature, "prompt")
    stopping = () if budget is None else (Budget(budget),)
    return strategy.but(revise=Verify(verify), stopping=stopping)
