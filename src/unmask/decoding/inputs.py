"""The kinds of what a generation begins with, checked where it comes in."""

from __future__ import annotations

from unmask.decoding.canvas import Canvas
from unmask.decoding.strategy import Strategy
from unmask.errors import CanvasError, StrategyError


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
            "presets.confidence(steps=16)"
        )
