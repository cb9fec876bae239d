"""Sampling a token from logits: shaping, the two-level draw, and its statistics.

Everything here is float32 or better whatever comes in.
"""

from unmask.core.calls import check_calls
from unmask.core.inversion import COLD
from unmask.sampling.alternatives import likeliest_ids
from unmask.sampling.bias import BiasOf
from unmask.sampling.passes import Scratch
from unmask.sampling.settings import (
    Annealed,
    LinearDecay,
    Sampling,
    SquaredDecay,
    Temperature,
    Temperatures,
)
from unmask.sampling.statistics import draw_with_statistics
from unmask.sampling.two_level import NEG_INF, draw, invert

__all__ = [
    "COLD",
    "NEG_INF",
    "Annealed",
    "BiasOf",
    "LinearDecay",
    "Sampling",
    "Scratch",
    "SquaredDecay",
    "Temperature",
    "Temperatures",
    "draw",
    "draw_with_statistics",
    "invert",
    "likeliest_ids",
]

check_calls(__name__, "Annealed", "LinearDecay", "Sampling", "SquaredDecay")
