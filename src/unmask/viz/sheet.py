"""Contact sheets: many rows in one picture, and saving it without ever harming an earlier one.

B rows, N positions.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from unmask.core.files import write_file
from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.highlights import looks
from unmask.viz.layout import Cells, Layout
from unmask.viz.patches import Pixels, pillow
from unmask.viz.tiles import tiles

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = 8
GAP = 12
MARGIN = 20
RADIUS = 6


def sheet(
    tokens: Tensor,
    layout: Layout,
    columns: int | None = None,
    *,
    given: Tensor | None = None,
    changed: Tensor | None = None,
    scale: int | None = None,
) -> Image:
    """Draw rows (B, N), -1 where unknown, side by side as one RGB picture.

    columns: tiles in a line, at most 8 unless told (text: 1). given (B, N) bool: clues and
    prompts, drawn in another ink. changed (B, N) bool: cells to highlight. scale: height of a cell
    in pixels. Raises InputError for shapes that do not fit, MissingExtraError without Pillow.
    """
    (drawn,) = pixels(tokens, layout, looks(layout, tokens, given, changed), columns, scale, 1)
    picture: Image = pillow("Image").fromarray(drawn)
    return picture


def pixels(
    tokens: Tensor,
    layout: Layout,
    marks: Cells,
    columns: int | None,
    scale: int | None,
    sheets: int,
) -> list[Pixels]:
    """The pixels (height, width, 3) uint8 of sheets of one size.

    tokens: (sheets·B, N), the rows of all; marks: the looks of their cells.
    """
    if not len(tokens):
        raise InputError("no rows to draw: tokens has shape (0, N)")
    if columns is not None and columns < 1:
        raise InputError(f"columns={columns}: a sheet has at least one column")
    rows = len(tokens) // sheets
    drawn = tiles(layout, layout.cells(tokens), marks, scale, sheets)
    columns = min(rows, columns or (1 if layout.kind == "text" else COLUMNS))
    return [_arranged(drawn[first : first + rows], columns) for first in range(0, len(drawn), rows)]


def save_png(picture: Image, path: str | Path) -> Path:
    """Write a picture as PNG: under a temporary name first, then renamed. Returns the path.

    Raises InputError for a name that promises another format.
    """
    check_suffix(path, ".png")
    data = BytesIO()
    picture.save(data, format="PNG", optimize=True)
    return write_file(path, data.getvalue())


def check_suffix(path: str | Path, suffix: str) -> None:
    """Raise InputError where the file name ends in anything but `suffix`."""
    if Path(path).suffix.lower() != suffix:
        raise InputError(f"{path} does not end in {suffix}; type {Path(path).with_suffix(suffix)}")


def _arranged(rows: Pixels, columns: int) -> Pixels:
    """Lay tiles (B, h, w, 3) on the table with gaps between them and a margin around."""
    count, tall, wide, _ = rows.shape
    lines = -(-count // columns)
    height = 2 * MARGIN + lines * tall + (lines - 1) * GAP
    width = 2 * MARGIN + columns * wide + (columns - 1) * GAP
    table = np.empty((height, width, 3), np.uint8)
    table[:] = palette.TABLE
    corners = _rounded(tall, wide)
    for index, tile in enumerate(rows):
        top = MARGIN + index // columns * (tall + GAP)
        left = MARGIN + index % columns * (wide + GAP)
        place = table[top : top + tall, left : left + wide]
        place[:] = np.rint(place + corners * (tile.astype(float) - place)).astype(np.uint8)
    return table


def _rounded(tall: int, wide: int) -> npt.NDArray[np.float64]:
    """Coverage (h, w, 1) of a tile with rounded corners, 1 inside and 0 outside."""
    radius = min(RADIUS, tall / 2, wide / 2)
    down, across = (
        np.maximum(np.abs(np.arange(side) + 0.5 - side / 2) - (side / 2 - radius), 0)
        for side in (tall, wide)
    )
    covered: npt.NDArray[np.float64] = radius + 0.5 - np.hypot(down[:, None], across)
    return covered.clip(0.0, 1.0)[..., None]
