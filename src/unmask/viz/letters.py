"""Rows of text as pixel tiles: signs in columns, unknown ones as quiet blocks."""

from __future__ import annotations

from functools import partial

import numpy as np

from unmask.viz import palette
from unmask.viz.flow import OTHER, Flow, Sign
from unmask.viz.fonts import font_of
from unmask.viz.highlights import FRESH, GIVEN
from unmask.viz.layout import UNKNOWN
from unmask.viz.patches import Pixels, hatched, joined, pillow, plain

CELL = 24  # pixels of a line
FONT, BASE = 0.68, 0.7  # of a line: the size of its letters, and where they stand
STRIP = 5  # of a line, left free above and below a block


def written(text: Flow, tall: int | None = None) -> Pixels:
    """Return rows (B,H,W) of signs as pixels (B,height,width,3). tall: pixels of a line."""
    tall = tall or CELL
    wide = width(tall)
    drawn = joined(text.cells, text.looks, partial(_patch, text.signs, tall, wide))
    side = wide // 2
    paper = np.array(palette.PAPER, np.uint8)
    framed = np.empty(
        (len(drawn), drawn.shape[1] + 2 * side, drawn.shape[2] + 2 * side, 3), np.uint8
    )
    framed[:] = paper
    framed[:, side : -side or None, side : -side or None] = drawn
    return framed


def width(tall: int) -> int:
    """Return the pixels of a column, for lines of `tall`."""
    return max(1, round(float(font_of("0", _size(tall)).getlength("0"))))


def _size(tall: int) -> int:
    return max(6, round(tall * FONT))


def _patch(signs: list[Sign], tall: int, wide: int, cell: int, look: int) -> Pixels:
    if cell == UNKNOWN:
        block = np.array(plain(palette.PAPER, tall, wide))
        gap = tall // STRIP
        block[gap : tall - gap] = hatched(tall - 2 * gap, wide)
        return block
    if cell < 0:
        return plain(palette.PAPER, tall, wide)
    sign = signs[cell]
    columns = 2 if sign.part else 1
    whole = _drawn(sign, look, tall, columns * wide)
    first = wide if sign.part == 2 else 0
    return whole[:, first : first + wide]


def _drawn(sign: Sign, look: int, tall: int, wide: int) -> Pixels:
    """A sign in its columns: given ones black on grey, generated ones blue, new ones on amber."""
    paper = {GIVEN: palette.CLUE_PAPER, FRESH: palette.FRESH}.get(look, palette.PAPER)
    ink = {GIVEN: palette.INK, FRESH: palette.FRESH_INK}.get(look, palette.DRAWN)
    image = pillow("Image").new("RGB", (wide, tall), paper)
    if sign.text:
        font = font_of(sign.text, _size(tall))
        text, faint = (sign.text, sign.pale) if font is not None else (OTHER, True)
        font = font or font_of(OTHER, _size(tall))
        pillow("ImageDraw").Draw(image).text(
            (wide / 2, tall * BASE),
            text,
            fill=palette.blend(ink, paper, 0.55) if faint else ink,
            font=font,
            anchor="ms",
        )
    return np.asarray(image)
