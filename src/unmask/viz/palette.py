"""The colours of every picture, in one place, as (red, green, blue).

Pictures are ink on paper, so that they sit well on light and dark pages; the terminal is the same
ink made of light. Unknown cells are a muted blue that no grey level can be mistaken for, newly
committed ones amber, its complement, also told apart by the colour-blind.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RGB = tuple[int, int, int]

# Pictures.
TABLE: RGB = (236, 238, 243)
PAPER: RGB = (255, 254, 250)
INK: RGB = (28, 33, 48)
RULE: RGB = (176, 184, 202)
UNKNOWN: RGB = (182, 198, 226)
HATCH: RGB = (197, 210, 233)
CLUE_PAPER: RGB = (231, 233, 239)
DRAWN: RGB = (37, 99, 212)
FRESH: RGB = (255, 214, 140)
FRESH_INK: RGB = (104, 62, 0)
GIVEN_INK: RGB = (27, 94, 104)
GIVEN_PAPER: RGB = (232, 240, 239)

# Terminal.
NIGHT: RGB = (24, 26, 33)
LIGHT: RGB = (248, 246, 240)
NIGHT_UNKNOWN: RGB = (48, 66, 104)
NIGHT_HATCH: RGB = (66, 87, 130)
NIGHT_DOT: RGB = (112, 136, 184)
NIGHT_DRAWN: RGB = (122, 172, 255)
NIGHT_FRESH: RGB = (255, 196, 92)
NIGHT_RULE: RGB = (82, 90, 108)
NIGHT_BOX: RGB = (150, 158, 176)
NIGHT_GIVEN: RGB = (128, 203, 196)

Colours = npt.NDArray[np.uint8]


def ramp(first: RGB, last: RGB, levels: int) -> Colours:
    """Evenly spaced colours from `first` to `last`: (levels, 3) uint8.

    sRGB is close to perceptually even along a grey ramp, so no other space is needed.
    """
    share = np.linspace(0.0, 1.0, levels)[:, None]
    colours: Colours = np.rint((1 - share) * np.array(first) + share * np.array(last)).astype(
        np.uint8
    )
    return colours


def blend(colour: RGB | Colours, other: RGB, share: float) -> RGB:
    """`colour` with `share` of `other` mixed in."""
    red, green, blue = (
        round((1 - share) * int(mine) + share * theirs)
        for mine, theirs in zip(colour, other, strict=True)
    )
    return red, green, blue


def hex_code(colour: RGB) -> str:
    """Return a colour as matplotlib reads it, such as `#1c2130`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
