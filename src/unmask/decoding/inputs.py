"""The kinds of what a generation begins with, checked where it comes in."""

from __future__ import annotations

from unmask.core.network import Denoiser
from unmask.decoding.canvas import Canvas
from unmask.decoding.strategy import Strategy
from unmask.errors import CanvasError, StrategyError


def check_denoiser(denoiser: object) -> None:
    """Raise StrategyError unless this is a denoiser."""
    if not isinstance(denoiser, Denoiser):
        raise StrategyError(
            f"{type(denoiser).__name__} is no denoiser: wrap it first, as in "
            "unmask.wrap(net, mask_id=17)"
        )


def check_canvas(canvas: object) -> None:
    """Raise CanvasError unless this is a canvas."""
    if not isinstance(canvas, Canvas):
        raise CanvasError(
            f"canvas is a {type(canvas).__name__}: pass Canvas.blank(batch_size, length) or "
            "Canvas.infill(tokens, editable)"
        )


def check_strategy(strategy: object) -> None:
    """Raise StrategyError unless this is a strategy."""
    if not isinstance(strategy, Strategy):
        raise StrategyError(
            f"strategy={strategy!r}: pass a preset that has been called, such as "
            "presets.maskgit(steps=12)"
        )
