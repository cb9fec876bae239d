"""Checks of options, with one message each."""

from __future__ import annotations

import math

from unmask.errors import StrategyError


def is_number(value: object) -> bool:
    """Whether this is a finite int or float, and no bool."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]


def check_share(name: str, value: float) -> None:
    """Raise StrategyError unless the value is a probability."""
    if not (is_number(value) and 0 <= value <= 1):
        raise StrategyError(f"{name}={value!r}: pass a probability in [0, 1], such as 0.9")


def check_count(name: str, value: int) -> None:
    """Raise StrategyError unless the value is an integer of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StrategyError(f"{name}={value!r}: pass an integer of 1 or more")
