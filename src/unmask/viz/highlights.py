"""Which known cells stand out when drawn: given (a clue), fresh (committed just now), or plain.

B rows, N positions, H lines of W cells.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unmask.core.ids import are_integers
from unmask.errors import InputError
from unmask.viz.layout import Cells, Layout

PLAIN, GIVEN, FRESH = 0, 1, 2


def looks(
    layout: Layout, frame: Tensor, given: Tensor | None = None, changed: Tensor | None = None
) -> Cells:
    """One look per cell of a frame (B, N): (B, H, W). A changed cell is fresh even if given.

    given, changed: (B, N) bool. Raises InputError for masks of another shape or dtype.
    """
    arranged = np.full(layout.cells(frame).shape, PLAIN, dtype=np.int64)
    for name, mask, look in (("given", given, GIVEN), ("changed", changed, FRESH)):
        if mask is not None:
            check_mask(name, mask, frame)
            arranged[layout.marks(mask)] = look
    return arranged


def highlights(frames: Tensor, given: Tensor | None = None) -> Tensor:
    """Cells to highlight while frames (S, B, N) are shown: bool, same shape.

    They became known or changed with the frame, and are not given (B, N) bool. The last frame is
    the one people look at: it is shown without any. Raises InputError for a mask of another shape
    or dtype.
    """
    changed = torch.zeros_like(frames, dtype=torch.bool)
    changed[1:-1] = (frames[1:-1] != frames[:-2]) & (frames[1:-1] >= 0)
    if given is None:
        return changed
    check_mask("given", given, frames[0])
    return changed & ~given


def share_known(frame: Tensor, layout: Layout) -> float:
    """The share of the drawn cells of a frame (B, N) that are known, 0 to 1."""
    drawn = frame[:, layout.offset :]
    return float((drawn >= 0).double().mean()) if drawn.numel() else 1.0


def check_mask(name: str, mask: Tensor, frame: Tensor) -> None:
    """Raise InputError unless `mask` is bool of the shape of `frame`."""
    if mask.shape != frame.shape or mask.dtype != torch.bool:
        raise InputError(
            f"{name} is {mask.dtype} of shape {tuple(mask.shape)}; pass bool of the shape "
            f"{tuple(frame.shape)} of the tokens"
        )


def check_frames(frames: Tensor) -> None:
    """Raise InputError unless frames are integers (S, B, N) with a frame and a row at least."""
    if frames.dim() != 3 or not are_integers(frames):
        raise InputError(
            f"frames are {frames.dtype} of shape {tuple(frames.shape)}; pass integer ids "
            "(S, B, N), -1 where unknown; a single frame is frame[None]"
        )
    if not frames.shape[0] or not frames.shape[1]:
        raise InputError(f"frames of shape {tuple(frames.shape)} hold nothing to show")
