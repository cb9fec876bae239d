"""An animated GIF of a sheet that emerges step by step.

S frames, B rows, N positions; K distinct colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from unmask.core.files import write_file
from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.highlights import check_frames, highlights, share_known
from unmask.viz.layout import Layout
from unmask.viz.sheet import MARGIN, check_suffix, pixels
from unmask.viz.tiles import Pixels, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

STEP_MS = 160
HOLD_MS = 2000
MIN_STEP_MS = 20
GIF_COLOURS = 256
BAR = 4

Packed = npt.NDArray[np.int64]


def gif(
    frames: Tensor,
    layout: Layout,
    path: str | Path,
    columns: int | None = None,
    *,
    given: Tensor | None = None,
    scale: int | None = None,
    step_ms: int = STEP_MS,
    hold_ms: int = HOLD_MS,
) -> Path:
    """Write frames (S, B, N), -1 where unknown, as an endless GIF; returns the path.

    Cells committed or changed by a step are highlighted while it is shown; a line at the foot
    grows with the share of known cells. Each frame stays `step_ms`, the last `hold_ms` and
    without highlights (frames that look alike become one, shown for as long as both). given
    (B, N) bool: clues, drawn in another ink. Written under a temporary name and renamed.
    Raises InputError for frames, layout or times that do not fit, MissingExtraError without Pillow.
    """
    check_suffix(path, ".gif")
    check_frames(frames)
    if min(step_ms, hold_ms) < MIN_STEP_MS:
        raise InputError(
            f"step_ms={step_ms}, hold_ms={hold_ms}: viewers slow a GIF down below "
            f"{MIN_STEP_MS} ms; type step_ms={STEP_MS}"
        )
    pictures = [
        _with_bar(
            pixels(frame, layout, columns, given=given, changed=changed, scale=scale),
            share_known(frame, layout),
        )
        for frame, changed in zip(frames, highlights(frames, given), strict=True)
    ]
    images = _indexed(pictures)
    times = [step_ms] * (len(images) - 1) + [hold_ms]
    data = BytesIO()
    images[0].save(data, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return write_file(path, data.getvalue())


def _with_bar(picture: Pixels, share: float) -> Pixels:
    """Draw the progress line in the lower margin."""
    tall, wide, _ = picture.shape
    top, span = tall - (MARGIN + BAR) // 2, wide - 2 * MARGIN
    picture[top : top + BAR, MARGIN : MARGIN + span] = palette.RULE
    picture[top : top + BAR, MARGIN : MARGIN + round(span * share)] = palette.DRAWN
    return picture


def _indexed(pictures: Sequence[Pixels]) -> list[Image]:
    """Palette images that share one palette: exact up to 256 colours, nearest beyond.

    One palette for all, because a cell that does not change must not flicker.
    """
    image = pillow("Image")
    packed = [_packed(picture) for picture in pictures]
    colours = np.unique(np.concatenate([np.unique(picture) for picture in packed]))
    strip = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)
    index = np.arange(len(colours), dtype=np.uint8)
    table = strip
    if len(colours) > GIF_COLOURS:
        reduced = image.fromarray(strip[None]).quantize(GIF_COLOURS, dither=image.Dither.NONE)
        index = np.asarray(reduced)[0]
        table = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    images = []
    for picture in packed:
        indexed = image.fromarray(index[np.searchsorted(colours, picture)])
        indexed.putpalette(table.tobytes())
        images.append(indexed)
    return images


def _packed(picture: Pixels) -> Packed:
    wide = picture.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
