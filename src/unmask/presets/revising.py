"""Presets that revise committed tokens: critics, planners, remasking diffusion."""

from __future__ import annotations

from typing import Literal

from unmask import schedules
from unmask.commit import ReMDM, TopK
from unmask.core.network import Critic
from unmask.decoding.strategy import Strategy
from unmask.orders import ChoiceNoise, CriticOrder, Noised, Probability, Random, Weighted
from unmask.presets.parts import planned, remasking, track_groups
from unmask.revise import Remask
from unmask.sampling import Sampling
from unmask.schedules import AnySchedule


def token_critic(
    critic: Critic,
    steps: int = 18,
    schedule: AnySchedule = schedules.cosine,
    temperature: float = 1.0,
    noise_scale: float = 1.0,
    remask: bool = True,
) -> Strategy:
    """Token-Critic (2209.04439, Algorithm 2): draw all, keep those the critic finds least wrong.

    With remask, the critic ranks every generated position, so that earlier tokens may be re-masked.
    Its logits get Gumbel noise of scale noise_scale, which falls to 0. Approximate.
    """
    order = ChoiceNoise(CriticOrder(critic), noise_scale)
    revise = remasking(remask)
    return planned("token_critic", order, steps, schedule, temperature, revise=revise)


def self_critic(
    critic: Critic,
    steps: int = 18,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    noise_scale: float = 1.0,
    remask: bool = True,
) -> Strategy:
    """The rule of `token_critic` with x-transformers' defaults. Approximate.

    For a critic on the generator's hidden states, `unmask.SelfCritic`.
    """
    strategy = token_critic(critic, steps, schedule, temperature, noise_scale, remask)
    return strategy.but(name="self_critic")


def p2(
    steps: int = 64,
    schedule: AnySchedule = schedules.linear,
    eta: float = 1.0,
    temperature: float = 1.0,
) -> Strategy:
    """P2, path planning (2502.03540, self-planning): rank every generated position, keep the best.

    eta multiplies the log-probability of committed tokens: above 1 they are re-masked more often.
    Approximate.
    """
    order = Weighted(Probability(choose="after"), eta)
    return planned("p2", order, steps, schedule, temperature, revise=Remask())


def remdm(
    steps: int = 64,
    schedule: AnySchedule = schedules.linear,
    variant: Literal["cap", "rescale", "confidence", "loop"] = "cap",
    eta: float = 0.02,
    temperature: float = 1.0,
) -> Strategy:
    """ReMDM (2503.00307): known tokens become unknown again with probability σ, set by `variant`.

    The variants are those of `commit.ReMDM`; "loop" ignores schedule and has its own. eta: the
    bound or factor of σ. Every row takes all its steps. Approximate.
    """
    return Strategy(
        commit=ReMDM(schedule, steps, variant, eta),
        sampling=Sampling(temperature),
        order=Random(),
        revise=Remask(),
        name="remdm",
    )


def dplm(
    steps: int = 500,
    schedule: AnySchedule = schedules.linear,
    temperature: float = 1.0,
    tracks: int = 1,
) -> Strategy:
    """DPLM (2402.18567): draw by a Gumbel race, rank every position by the noised log-softmax.

    Committed tokens are scored by their own noised probability, and may be re-masked. tracks:
    sequences interleaved position by position, each with its own plan (DPLM-2 2410.13782).
    Approximate.
    """
    return Strategy(
        commit=TopK(schedule, steps),
        sampling=Sampling(temperature, gumbel=True),
        order=Noised(),
        revise=Remask(),
        groups=track_groups(tracks, side_by_side=True),
        name="dplm",
    )
