"""Cells as patches of pixels, each drawn once per distinct look.

B rows, H lines of W cells; a patch is P × Q pixels. All pixels are uint8 RGB in the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from unmask.core.optional import library
from unmask.viz import palette
from unmask.viz.highlights import PLAIN
from unmask.viz.layout import Cells

Pixels = npt.NDArray[np.uint8]

HATCH_PERIOD = 6


def pillow(module: str) -> Any:
    """Import one of Pillow's modules. Raises MissingExtraError where Pillow is not installed."""
    return library(
        f"PIL.{module}", "viz", "pictures are drawn by Pillow, which is not installed; type"
    )


def joined(cells: Cells, looks: Cells, patch: Callable[[int, int], Pixels]) -> Pixels:
    """Return rows (B,H,W) as pixels (B,H·P,W·Q,3). patch: of a cell and its look, (P,Q,3)."""
    pairs = np.stack([cells, np.where(cells >= 0, looks, PLAIN)], axis=-1).reshape(-1, 2)
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    patches = np.stack([patch(int(cell), int(look)) for cell, look in distinct])
    rows, lines, width = cells.shape
    _, tall, wide, _ = patches.shape
    drawn = patches[which.reshape(rows, lines, width)].transpose(0, 1, 3, 2, 4, 5)
    return drawn.reshape(rows, lines * tall, width * wide, 3)


def hatched(tall: int, wide: int) -> Pixels:
    """Return an unknown cell: diagonal stripes tell it from any grey without colour, too."""
    diagonal = (np.arange(tall)[:, None] + np.arange(wide)) % HATCH_PERIOD
    colours: Pixels = np.array([palette.UNKNOWN, palette.HATCH], np.uint8)
    return colours.take(diagonal < HATCH_PERIOD // 2, axis=0)


def plain(colour: palette.RGB, tall: int, wide: int) -> Pixels:
    """Return a cell of one colour."""
    return np.broadcast_to(np.array(colour, np.uint8), (tall, wide, 3))
