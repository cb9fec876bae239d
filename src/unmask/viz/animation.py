"""An animated GIF of a sheet that emerges step by step.

S frames, B rows, N positions.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from torch import Tensor

from unmask.core.files import write_file
from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.highlights import check_frames, highlights, looks, share_known
from unmask.viz.layout import Layout
from unmask.viz.patches import pillow
from unmask.viz.sheet import MARGIN, check_suffix, pixels

STEP_MS = 160
HOLD_MS = 2000
MIN_STEP_MS = 20
BAR = 4


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
    clues = None if given is None else given.repeat(len(frames), 1)
    changed, rows = highlights(frames, given).flatten(0, 1), frames.flatten(0, 1)
    marks = looks(layout, rows, clues, changed)
    drawn = pixels(rows, layout, marks, columns, scale, len(frames))
    for picture, frame in zip(drawn, frames, strict=True):
        bar = picture[-(MARGIN + BAR) // 2 :][:BAR, MARGIN:-MARGIN]
        bar[:] = palette.RULE
        bar[:, : round(bar.shape[1] * share_known(frame, layout))] = palette.DRAWN
    # One palette for all, because a cell that does not change must not flicker: exact up to 256
    # colours.
    image, (tall, wide, _) = pillow("Image"), drawn[0].shape
    strip = image.fromarray(np.concatenate(drawn)).quantize(256, dither=image.Dither.NONE)
    images = [strip.crop((0, top, wide, top + tall)) for top in range(0, strip.height, tall)]
    times = [step_ms] * (len(images) - 1) + [hold_ms]
    data = BytesIO()
    images[0].save(data, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return write_file(path, data.getvalue())
