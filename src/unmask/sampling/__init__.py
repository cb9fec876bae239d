"""Drawing a token from logits: shaping, the two-level draw, and what is said of it.

Everything here is float32 or better whatever comes in.
"""

from unmask.inversion import COLD
from unmask.sampling.draw import Annealed, Draw, SquaredDecay, Temperature
from unmask.sampling.measured import measured
from unmask.sampling.scratch import Scratch
from unmask.sampling.two_level import NEG_INF, draw, invert, tempered

__all__ = [
    "COLD",
    "NEG_INF",
    "Annealed",
    "Draw",
    "Scratch",
    "SquaredDecay",
    "Temperature",
    "draw",
    "invert",
    "measured",
    "tempered",
]
