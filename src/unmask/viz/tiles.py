"""Rows of ids as pixel tiles.

B rows, H lines of W cells. All pixels are uint8 RGB in the last axis.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.flow import flow
from unmask.viz.highlights import FRESH, GIVEN
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout
from unmask.viz.letters import written
from unmask.viz.patches import Pixels, hatched, joined, pillow, plain

IMAGE_WIDTH = 96
BOARD_CELL = 40
BORDER = 3


def tiles(
    layout: Layout, cells: Cells, looks: Cells, scale: int | None = None, sheets: int = 1
) -> Pixels:
    """Draw each row: cells and looks (B, H, W) -> pixels (B, height, width, 3).

    scale: height of a cell in pixels. sheets: how many frames the rows are, one after the other;
    a token of text stands in the same place in all of them. Raises InputError for a scale below 1.
    """
    if scale is not None and scale < 1:
        raise InputError(f"scale={scale}: a cell is at least one pixel; pass scale=12, say")
    if layout.kind == "text":
        return written(flow(layout, cells, looks, sheets), scale)
    usual = max(1, IMAGE_WIDTH // layout.width) if layout.kind == "image" else BOARD_CELL
    side = scale or usual
    drawn = joined(cells, looks, partial(_patch, layout, side))
    return _ruled(drawn, layout, side) if layout.kind == "board" else drawn


def _patch(layout: Layout, side: int, token: int, look: int) -> Pixels:
    if token == UNKNOWN:
        return hatched(side, side)
    if token == BLANK:
        return plain(palette.PAPER, side, side)
    if layout.kind == "board":
        return _written(layout.symbol(token), look, side)
    colour, ink = palette.PAPER, palette.INK
    if look == GIVEN:
        colour, ink = palette.GIVEN_PAPER, palette.GIVEN_INK
    grey = palette.ramp(colour, ink, layout.levels)[token]
    return plain(palette.blend(grey, palette.FRESH, 0.55 if look == FRESH else 0.0), side, side)


@lru_cache(maxsize=4096)
def _written(symbol: str, look: int, side: int) -> Pixels:
    """A cell with a symbol in its middle: clues in bold ink on grey, generated ones in blue."""
    paper = {GIVEN: palette.CLUE_PAPER, FRESH: palette.FRESH}.get(look, palette.PAPER)
    ink = {GIVEN: palette.INK, FRESH: palette.FRESH_INK}.get(look, palette.DRAWN)
    font = _font(side)
    image = pillow("Image").new("RGB", (side, side), paper)
    pillow("ImageDraw").Draw(image).text(
        (side / 2, side / 2 + font.size * 0.03),
        symbol,
        fill=ink,
        font=font,
        anchor="mm",
        # Pillow bundles one weight only; a thin outline is its bold.
        stroke_width=max(1, round(font.size / 26)) if look == GIVEN else 0,
    )
    return np.asarray(image)


@lru_cache(maxsize=16)
def _font(side: int) -> Any:
    """The font of cells of this height."""
    return pillow("ImageFont").load_default(max(6, round(side * 0.62)))


def _ruled(pixels: Pixels, layout: Layout, side: int) -> Pixels:
    """Draw the lines of a board: thin between cells, thick around boxes and the board."""
    ruled = np.pad(pixels, ((0, 0), (BORDER, BORDER), (BORDER, BORDER), (0, 0)))
    strokes = [
        (axis, line * side + BORDER, box > 0 and line % box == 0)
        for axis, box, lines in (
            (1, layout.box[0], layout.height),
            (2, layout.box[1], layout.width),
        )
        for line in range(1, lines)
    ]
    edges = [(axis, at, True) for axis in (1, 2) for at in (1, ruled.shape[axis] - 2)]
    # Thick lines last, so that no thin one crosses them.
    for axis, at, thick in sorted(strokes, key=lambda stroke: stroke[2]) + edges:
        place = slice(at - 1, at + 2) if thick else slice(at, at + 1)
        np.moveaxis(ruled, axis, 0)[place] = palette.INK if thick else palette.RULE
    return ruled
