"""One row as terminal characters: the drawing behind `terminal.py`.

H lines of W cells; a tile is a list of lines, a line a list of rich segments. There are three ways
to draw: "colour" (half blocks, two pixels a character), "shade" (no colours, two characters a
pixel) and "ascii" (no Unicode).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from unmask.viz import palette
from unmask.viz.highlights import FRESH, GIVEN
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout

Way = Literal["colour", "shade", "ascii"]
Line = list[Segment]

RAMPS = {"shade": " ░▒▓█", "ascii": " .:*#"}
DOTS = {"colour": "·", "shade": "·", "ascii": "."}
# A horizontal line: its left end, dash, crossings with a thin and a thick line, its right end.
TOP, BOTTOM, THIN, THICK = tuple("┏━┯┳┓"), tuple("┗━┷┻┛"), tuple("┠─┼╂┨"), tuple("┣━┿╋┫")
THIN_SIGNS = frozenset("─│┼")


def cell_width(layout: Layout, cells: Cells, way: Way) -> int:
    """Characters that one cell takes, the space between cells included."""
    if layout.kind == "image":
        return 1 if way == "colour" else 2
    if layout.kind == "board":
        return 3 + max(cell_len(symbol) for symbol in layout.symbols)
    shown = layout.symbols or [str(cells.max(initial=0))]
    widest = max(cell_len(symbol) for symbol in shown)
    return widest if widest == 1 else widest + 1


def tile_size(layout: Layout, cells: Cells, way: Way) -> tuple[int, int]:
    """Lines and characters of one tile drawn from cells (B, H, W)."""
    _, lines, across = cells.shape
    wide = across * cell_width(layout, cells, way)
    if layout.kind == "image":
        return (-(-lines // 2) if way == "colour" else lines), wide
    if layout.kind == "board":
        return 2 * lines + 1, wide + 1
    return lines, wide


def tile(layout: Layout, cells: Cells, looks: Cells, way: Way, cell: int) -> list[Line]:
    """Draw one row: cells and looks (H, W), `cell` characters each -> its lines."""
    if layout.kind == "board":
        return _board(layout, cells, looks, way, cell)
    if layout.kind == "text":
        return [
            [_cell(layout, int(token), int(look), way, cell) for token, look in line]
            for line in np.stack([cells, looks], axis=-1)
        ]
    return _half_blocks(layout, cells, looks) if way == "colour" else _shades(layout, cells, way)


def _half_blocks(layout: Layout, cells: Cells, looks: Cells) -> list[Line]:
    colours = [
        [_pixel(layout.levels, int(level), int(look)) for level, look in line]
        for line in np.stack([cells, looks], axis=-1)
    ]
    if len(colours) % 2:
        colours.append([None] * layout.width)
    return [
        [_half_block(*pair) for pair in zip(upper, lower, strict=True)]
        for upper, lower in zip(colours[::2], colours[1::2], strict=True)
    ]


@lru_cache(maxsize=4096)
def _half_block(upper: palette.RGB | None, lower: palette.RGB | None) -> Segment:
    if upper == lower == palette.NIGHT_UNKNOWN:
        return Segment("░", _style(palette.NIGHT_HATCH, palette.NIGHT_UNKNOWN))
    return Segment("▀", _style(upper, lower))


@lru_cache(maxsize=4096)
def _pixel(levels: int, level: int, look: int) -> palette.RGB | None:
    if level == UNKNOWN:
        return palette.NIGHT_UNKNOWN
    light = palette.NIGHT_GIVEN if look == GIVEN else palette.LIGHT
    colour = palette.ramp(palette.NIGHT, light, levels)[level]
    return palette.blend(colour, palette.NIGHT_FRESH, 0.5 if look == FRESH else 0.0)


def _shades(layout: Layout, cells: Cells, way: Way) -> list[Line]:
    ramp = RAMPS[way]
    steps = np.rint(cells / (layout.levels - 1) * (len(ramp) - 1)).astype(int)
    return [
        [
            Segment(2 * (DOTS[way] if level == UNKNOWN else ramp[step]))
            for level, step in zip(*pair, strict=True)
        ]
        for pair in zip(cells, steps, strict=True)
    ]


def _board(layout: Layout, cells: Cells, looks: Cells, way: Way, cell: int) -> list[Line]:
    tall, wide = layout.box
    lines = [_rule(TOP, layout, way, cell)]
    for at, (tokens, marks) in enumerate(zip(cells, looks, strict=True)):
        if at:
            heavy = tall > 0 and at % tall == 0
            lines.append(_rule(THICK if heavy else THIN, layout, way, cell))
        line: Line = []
        for across, (token, look) in enumerate(zip(tokens, marks, strict=True)):
            heavy = across == 0 or (wide > 0 and across % wide == 0)
            line.append(_sign("┃" if heavy else "│", way))
            line.append(_cell(layout, int(token), int(look), way, cell - 1))
        lines.append([*line, _sign("┃", way)])
    return [*lines, _rule(BOTTOM, layout, way, cell)]


def _rule(signs: tuple[str, ...], layout: Layout, way: Way, cell: int) -> Line:
    left, dash, thin, thick, right = signs
    box = layout.box[1]
    line = [_sign(left, way)]
    for across in range(1, layout.width + 1):
        line.extend([_sign(dash, way)] * (cell - 1))
        heavy = box > 0 and across % box == 0
        line.append(_sign(right if across == layout.width else thick if heavy else thin, way))
    return line


@lru_cache(maxsize=256)
def _sign(sign: str, way: Way) -> Segment:
    """A piece of a line: dim where thin, lighter where it encloses a box."""
    if way == "ascii":
        return Segment("|" if sign in "│┃" else "-" if sign in "─━" else "+")
    thin = sign in THIN_SIGNS
    return Segment(sign, _style(palette.NIGHT_RULE if thin else palette.NIGHT_BOX, None))


def _cell(layout: Layout, token: int, look: int, way: Way, wide: int) -> Segment:
    """A symbol in its cell: clues bold, generated ones blue, new ones on amber."""
    if token == BLANK:
        return Segment(" " * wide)
    if token == UNKNOWN:
        return Segment(_centred(DOTS[way], wide), _style(palette.NIGHT_DOT, palette.NIGHT_UNKNOWN))
    text = _centred(layout.symbol(token), wide)
    if look == FRESH:
        return Segment(text, _style(palette.NIGHT, palette.NIGHT_FRESH, bold=True))
    if look == GIVEN:
        return Segment(text, _style(None, None, bold=True))
    return Segment(text, _style(palette.NIGHT_DRAWN, None))


def _centred(text: str, wide: int) -> str:
    spare = max(0, wide - cell_len(text))
    return " " * ((spare + 1) // 2) + text + " " * (spare // 2)


@lru_cache(maxsize=4096)
def _style(ink: palette.RGB | None, paper: palette.RGB | None, bold: bool = False) -> Style:
    return Style(color=_named(ink), bgcolor=_named(paper), bold=bold or None)


def _named(colour: Sequence[int] | None) -> str | None:
    return None if colour is None else "rgb({},{},{})".format(*colour)
