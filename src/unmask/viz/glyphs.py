"""Rows as terminal characters: the drawing behind `terminal.py`.

B rows, H lines of W cells; a tile is a list of lines, a line a list of rich segments. There are
three ways to draw: "colour" (half blocks, two pixels a character), "shade" (no colours, two
characters a pixel) and "ascii" (no Unicode).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from unmask.viz import palette
from unmask.viz.flow import columns_of
from unmask.viz.highlights import FRESH, GIVEN
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout

Way = Literal["colour", "shade", "ascii"]
Line = list[Segment]

RAMPS = {"shade": " ░▒▓█", "ascii": " .:*#"}
DOTS = {"colour": "·", "shade": "·", "ascii": "."}
# Of a line of a board: the left end, what divides cells thinly and thickly, the right end.
CELLS, TOP, BOTTOM, THIN, THICK = "┃│┃┃", "┏┯┳┓", "┗┷┻┛", "┠┼╂┨", "┣┿╋┫"
THIN_SIGNS = frozenset("─│┼")


@dataclass(frozen=True, eq=False)
class Drawing:
    """Rows that are drawn in one way, each as a tile."""

    layout: Layout
    cells: Cells  # (B, H, W)
    way: Way

    @property
    def cell(self) -> int:
        """Characters that one cell takes, the space between cells included."""
        if self.layout.kind == "image":
            return 1 if self.way == "colour" else 2
        shown = [*map(_shown, self.layout.symbols)] or [str(self.cells.max(initial=0))]
        widest = max(map(cell_len, shown))
        return widest + 3 if self.layout.kind == "board" else widest + (widest > 1)

    @property
    def size(self) -> tuple[int, int]:
        """Lines and characters of a tile."""
        _, lines, across = self.cells.shape
        if self.layout.kind == "board":
            return 2 * lines + 1, across * self.cell + 1
        halved = self.layout.kind == "image" and self.way == "colour"
        return -(-lines // 2) if halved else lines, across * self.cell

    def tile(self, row: int, looks: Cells) -> list[Line]:
        """Draw a row with its looks (H, W)."""
        cells = self.cells[row]
        if self.layout.kind == "image":
            return self._half_blocks(cells, looks) if self.way == "colour" else self._shades(cells)
        wide = self.cell
        if self.layout.kind == "text":
            return self._symbols(cells, looks, wide)
        box, lines = self.layout.box[0], []
        for at, line in enumerate(self._symbols(cells, looks, wide - 1)):
            signs = TOP if at == 0 else THICK if box and at % box == 0 else THIN
            lines += [self._rule(signs, wide - 1), self._divided(CELLS, line)]
        return [*lines, self._rule(BOTTOM, wide - 1)]

    def _half_blocks(self, cells: Cells, looks: Cells) -> list[Line]:
        colours = [
            [_pixel(self.layout.levels, int(level), int(look)) for level, look in line]
            for line in np.stack([cells, looks], axis=-1)
        ]
        if len(colours) % 2:
            colours.append([None] * self.layout.width)
        return [
            [_half_block(*pair) for pair in zip(upper, lower, strict=True)]
            for upper, lower in zip(colours[::2], colours[1::2], strict=True)
        ]

    def _shades(self, cells: Cells) -> list[Line]:
        ramp = RAMPS[self.way]
        steps = np.rint(cells / (self.layout.levels - 1) * (len(ramp) - 1)).astype(int)
        signs = np.where(cells == UNKNOWN, DOTS[self.way], np.array(list(ramp))[steps])
        return [[Segment(2 * sign) for sign in line] for line in signs.tolist()]

    def _symbols(self, cells: Cells, looks: Cells, wide: int) -> list[Line]:
        return [
            [self._symbol(int(token), int(look), wide) for token, look in line]
            for line in np.stack([cells, looks], axis=-1)
        ]

    def _symbol(self, token: int, look: int, wide: int) -> Segment:
        """A symbol in its cell."""
        if token == BLANK:
            return Segment(" " * wide)
        text = DOTS[self.way] if token == UNKNOWN else _shown(self.layout.symbol(token))
        spare = max(0, wide - cell_len(text))
        text = " " * ((spare + 1) // 2) + text + " " * (spare // 2)
        return inked(text, None if token == UNKNOWN else look)

    def _rule(self, signs: str, wide: int) -> Line:
        dashes = _sign(("─" if signs == THIN else "━") * wide, self.way)
        return self._divided(signs, [dashes] * self.layout.width)

    def _divided(self, signs: str, parts: Line) -> Line:
        left, thin, thick, right = (_sign(sign, self.way) for sign in signs)
        box, line = self.layout.box[1], [left]
        for across, part in enumerate(parts, start=1):
            line += [part, thick if box and across % box == 0 else thin]
        return [*line[:-1], right]


def inked(text: str, look: int | None) -> Segment:
    """Return a text in its look, None for unknown: clues bold, generated blue, new on amber."""
    if look is None:
        return Segment(text, _style(palette.NIGHT_DOT, palette.NIGHT_UNKNOWN))
    if look == FRESH:
        return Segment(text, _style(palette.NIGHT, palette.NIGHT_FRESH, bold=True))
    if look == GIVEN:
        return Segment(text, _style(None, None, bold=True))
    return Segment(text, _style(palette.NIGHT_DRAWN, None))


@lru_cache(maxsize=1 << 16)
def _shown(symbol: str) -> str:
    """Return a symbol without line ends and other characters that move the cursor."""
    return "".join(sign.text or " " for sign in columns_of(symbol) if sign.part != 2)


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


@lru_cache(maxsize=256)
def _sign(signs: str, way: Way) -> Segment:
    """A piece of a line: dim where thin, lighter where it encloses a box."""
    if way == "ascii":
        sign = "|" if signs[0] in "│┃" else "-" if signs[0] in "─━" else "+"
        return Segment(sign * len(signs))
    thin = signs[0] in THIN_SIGNS
    return Segment(signs, _style(palette.NIGHT_RULE if thin else palette.NIGHT_BOX, None))


@lru_cache(maxsize=4096)
def _style(ink: palette.RGB | None, paper: palette.RGB | None, bold: bool = False) -> Style:
    colours = [None if colour is None else Color.from_rgb(*colour) for colour in (ink, paper)]
    return Style(color=colours[0], bgcolor=colours[1], bold=bold or None)
