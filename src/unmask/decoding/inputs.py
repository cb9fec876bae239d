"""The kinds of what a generation begins with, checked where it comes in."""

from __future__ import annotations

from unmask.core.state import State
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


def check_state(state: object) -> None:
    """Raise StrategyError unless this is a state."""
    if not isinstance(state, State):
        raise StrategyError(
            f"state is a {type(state).__name__}: pass what init returns, or the state of a step"
        )


def check_strategy(strategy: object) -> None:
    """Raise StrategyError unless this is a strategy."""
    if not isinstance(strategy, Strategy):
        raise StrategyError(
            f"strategy={strategy!r}: pass a preset that has been called, such as "
            "presets.confidence(steps=16)"
        )
