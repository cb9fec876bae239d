"""Presets without a plan, which commit at each step all positions that pass a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from unmask.commit import (
    BestOfRuns,
    BlocksToDelimiters,
    EntropyBound,
    Factor,
    FrechetProfile,
    NearAnchors,
    Stable,
    Threshold,
)
from unmask.decoding.strategy import Strategy
from unmask.orders import Credit, Entropy
from unmask.presets.parts import in_blocks
from unmask.revise import Doubt, Edit, Verify
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


def frechet_profile(
    delta: float = 0.25, block: int | None = 32, temperature: float = 0.0
) -> Strategy:
    """Fast-dLLM++ (2606.02955): the n best, with (Σc − (n − 1)) − (1 − c₍n₎) > delta.

    delta: .25 in the authors' README, .02 in their scripts. In blocks as in
    `threshold`. Approximate.
    """
    return in_blocks("frechet_profile", FrechetProfile(delta), block, temperature, "prompt")


def local_leap(
    threshold: float = 0.9,
    low: float = 0.75,
    radius: int = 4,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """LocalLeap (2510.07081): all with p ≥ threshold, and with p ≥ low within a radius of these.

    In blocks as in `threshold`. Approximate.
    """
    commit = NearAnchors(threshold, low, radius)
    return in_blocks("local_leap", commit, block, temperature, "prompt")


def hierarchy(
    threshold: float = 0.9, low: float = 0.4, block: int | None = 32, temperature: float = 0.0
) -> Strategy:
    """Hierarchical decoding (2510.08666): the best of every run of unknown positions, if p > low.

    And all with p > threshold, or else the best one. In blocks as in `threshold`. Approximate.
    """
    return in_blocks("hierarchy", BestOfRuns(threshold, low), block, temperature, "prompt")


def adablock(
    delimiters: Sequence[int],
    delimiter_threshold: float = 0.3,
    threshold: float = 0.9,
    block: int = 32,
    window: float = 0.25,
    temperature: float = 0.0,
) -> Strategy:
    """AdaBlock (2509.26432): `threshold` in blocks that end behind a delimiter, if one is likely.

    delimiters: ids that end a unit of meaning; LLaDA's newline is 198. The likeliest of the next
    `window` of the positions to generate ends the block if its p ≥ delimiter_threshold; otherwise
    the block has `block` positions. Approximate.
    """
    commit = BlocksToDelimiters(delimiters, delimiter_threshold, threshold, block, window)
    return in_blocks("adablock", commit, None, temperature)


def credit(
    threshold: float = 0.9,
    alpha: float = 0.7,
    gamma: float = 0.2,
    beta: float = 0.8,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """CreditDecoding (2510.06133): `threshold` on logits + alpha·log(1 + C), C the credit of an id.

    The credit grows by p^gamma each step that the id is the likeliest of an unknown position, and
    fades by beta. Approximate.
    """
    strategy = in_blocks("credit", Threshold(threshold), block, temperature, "prompt")
    return strategy.but(order=Credit(alpha, gamma, beta))


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


def token_to_mask(
    by: Literal["probability", "rival", "change"] = "probability",
    doubt: float | None = None,
    fill: float = 0.7,
    share: float = 0.25,
    times: int = 3,
    block: int | None = 32,
    temperature: float = 0.0,
) -> Strategy:
    """T2M (2604.18738, 2605.26436): commit tokens with p > fill; doubted ones are unknown again.

    by, doubt (its bound), share and times: see `revise.Doubt`. In blocks from 0, as `llada21`,
    whose editing this replaces. Approximate.
    """
    revise = Doubt(by, doubt, share, times)
    commit = Threshold(fill, strict=True)
    return in_blocks("token_to_mask", commit, block, temperature, revise=revise)


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
