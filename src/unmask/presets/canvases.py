"""The preset that draws a whole canvas anew at each step."""

from __future__ import annotations

from unmask.commit import AtOnce
from unmask.decoding.strategy import Strategy
from unmask.groups import Groups
from unmask.noise import Accepted
from unmask.orders import LeftToRight
from unmask.sampling import LinearDecay, Sampling
from unmask.stopping import StableAndConfident


def diffusion_gemma(
    steps: int = 48,
    block: int | None = 256,
    bound: float = 0.1,
    t_max: float = 0.8,
    t_min: float = 0.4,
    stability: int = 1,
    confidence: float = 0.005,
) -> Strategy:
    """DiffusionGemma's sampler: each step draws a canvas anew, and shows what it accepts of it.

    Accepted are the draws of least entropy, as in `entropy_bound` (2505.24857); elsewhere the
    network is shown new random ids. A canvas is the likeliest ids of its last step: after `steps`,
    or once they are those of the `stability` steps before and the mean entropy is below
    `confidence` nats. The temperature falls from t_max to t_min, and entropies are of the
    distribution drawn from. In canvases counted from the end of each row's prompt; block=None takes
    the whole row as one. Approximate.
    """
    return Strategy(
        commit=AtOnce(steps),
        sampling=Sampling(LinearDecay(t_max, t_min)),
        order=LeftToRight(),
        noise=Accepted(bound),
        groups=None if block is None else Groups.blocks(block, origin="prompt"),
        stopping=(StableAndConfident(confidence, stability, of="sampling"),),
        name="diffusion_gemma",
    )
