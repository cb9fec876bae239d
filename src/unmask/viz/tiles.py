"""Rows of ids as pixel tiles: every cell is a small patch, drawn once per distinct look.

B rows, H lines of W cells; a patch is P × Q pixels. All pixels are uint8 RGB in the last axis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from unmask.core.optional import library
from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.highlights import FRESH, GIVEN, PLAIN
from unmask.viz.layout import BLANK, UNKNOWN, Cells, Layout

Pixels = npt.NDArray[np.uint8]

IMAGE_WIDTH = 96
BOARD_CELL = 40
TEXT_CELL = 28
HATCH_PERIOD = 6
BORDER = 3


def pillow(module: str) -> Any:
    """Import one of Pillow's modules. Raises MissingExtraError where Pillow is not installed."""
    return library(
        f"PIL.{module}", "viz", "pictures are drawn by Pillow, which is not installed; type"
    )


def tiles(layout: Layout, cells: Cells, looks: Cells, scale: int | None = None) -> Pixels:
    """Draw each row: cells and looks (B, H, W) -> pixels (B, height, width, 3).

    `scale` is the height of a cell in pixels. Raises InputError for a scale below 1.
    """
    if scale is not None and scale < 1:
        raise InputError(f"scale={scale}: a cell is at least one pixel; pass scale=12, say")
    tall, wide = _patch_size(layout, cells, scale)
    known = cells >= 0
    pairs = np.stack([cells, np.where(known, looks, PLAIN)], axis=-1).reshape(-1, 2)
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    patches = np.stack(
        [_patch(layout, int(token), int(look), tall, wide) for token, look in distinct]
    )
    rows, lines, width = cells.shape
    drawn = patches[which.reshape(rows, lines, width)]
    flat = drawn.transpose(0, 1, 3, 2, 4, 5).reshape(rows, lines * tall, width * wide, 3)
    return _ruled(flat, layout, tall, wide) if layout.kind == "board" else flat


def _patch_size(layout: Layout, cells: Cells, scale: int | None) -> tuple[int, int]:
    if layout.kind != "text":
        usual = max(1, IMAGE_WIDTH // layout.width) if layout.kind == "image" else BOARD_CELL
        return scale or usual, scale or usual
    tall = scale or TEXT_CELL
    font = _font(tall)
    shown = [layout.symbol(token) for token in np.unique(cells[cells >= 0]).tolist()]
    return tall, max(tall * 5 // 8, round(max(map(font.getlength, shown), default=0)) + tall // 4)


def _patch(layout: Layout, token: int, look: int, tall: int, wide: int) -> Pixels:
    if token == UNKNOWN:
        # Diagonal stripes tell it from any grey without colour, too.
        diagonal = (np.arange(tall)[:, None] + np.arange(wide)) % HATCH_PERIOD
        colours: Pixels = np.array([palette.UNKNOWN, palette.HATCH], np.uint8)
        return colours.take(diagonal < HATCH_PERIOD // 2, axis=0)
    if token != BLANK and layout.kind != "image":
        return _written(layout.symbol(token), look, tall, wide)
    colour = palette.PAPER
    if token != BLANK:
        ink = palette.INK
        if look == GIVEN:
            colour, ink = palette.GIVEN_PAPER, palette.GIVEN_INK
        grey = palette.ramp(colour, ink, layout.levels)[token]
        colour = palette.blend(grey, palette.FRESH, 0.55 if look == FRESH else 0.0)
    return np.broadcast_to(np.array(colour, np.uint8), (tall, wide, 3))


@lru_cache(maxsize=4096)
def _written(symbol: str, look: int, tall: int, wide: int) -> Pixels:
    """A cell with a symbol in its middle: clues in bold ink on grey, generated ones in blue."""
    paper = {GIVEN: palette.CLUE_PAPER, FRESH: palette.FRESH}.get(look, palette.PAPER)
    ink = {GIVEN: palette.INK, FRESH: palette.FRESH_INK}.get(look, palette.DRAWN)
    font = _font(tall)
    image = pillow("Image").new("RGB", (wide, tall), paper)
    pillow("ImageDraw").Draw(image).text(
        (wide / 2, tall / 2 + font.size * 0.03),
        symbol,
        fill=ink,
        font=font,
        anchor="mm",
        # Pillow bundles one weight only; a thin outline is its bold.
        stroke_width=max(1, round(font.size / 26)) if look == GIVEN else 0,
    )
    return np.asarray(image)


@lru_cache(maxsize=16)
def _font(tall: int) -> Any:
    """The font of cells of this height."""
    return pillow("ImageFont").load_default(max(6, round(tall * 0.62)))


def _ruled(pixels: Pixels, layout: Layout, tall: int, wide: int) -> Pixels:
    """Draw the lines of a board: thin between cells, thick around boxes and the board."""
    ruled = np.pad(pixels, ((0, 0), (BORDER, BORDER), (BORDER, BORDER), (0, 0)))
    strokes = [
        (axis, line * side + BORDER, box > 0 and line % box == 0)
        for axis, side, box, lines in (
            (1, tall, layout.box[0], layout.height),
            (2, wide, layout.box[1], layout.width),
        )
        for line in range(1, lines)
    ]
    edges = [(axis, at, True) for axis in (1, 2) for at in (1, ruled.shape[axis] - 2)]
    # Thick lines last, so that no thin one crosses them.
    for axis, at, thick in sorted(strokes, key=lambda stroke: stroke[2]) + edges:
        place = slice(at - 1, at + 2) if thick else slice(at, at + 1)
        np.moveaxis(ruled, axis, 0)[place] = palette.INK if thick else palette.RULE
    return ruled
