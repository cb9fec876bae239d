"""Checks of options, with one message each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

from unmask.errors import InputError, StrategyError

if TYPE_CHECKING:
    import numpy as np  # help and usage errors do without

MOST = 2**63 - 1  # what an int64 holds


def is_number(value: object) -> bool:
    """Whether this is a finite int or float, and no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max  # False for NaN and huge integers


def is_integer(value: object, least: int | None = None) -> TypeGuard[int]:
    """Whether this is an int of `least` or more, and no bool."""
    integer = isinstance(value, int) and not isinstance(value, bool)
    return integer and (least is None or value >= least)  # type: ignore[operator]


def check_share(name: str, value: float) -> None:
    """Raise StrategyError unless the value is a probability."""
    if not (is_number(value) and 0 <= value <= 1):
        raise StrategyError(f"{name}={value!r}: pass a probability in [0, 1], such as 0.9")


def check_count(name: str, value: object, kind: type[InputError] = StrategyError) -> None:
    """Raise an error of `kind` unless the value is an integer of 1 or more."""
    if not is_integer(value, 1):
        raise kind(f"{name}={value!r}: pass an integer of 1 or more")
    if value > MOST:
        raise kind(f"{name}={value!r}: pass an integer below 2**63")


def first_of_other_length(lengths: np.ndarray, wanted: int) -> int | None:
    """Return the first row of another length; 0 is that of rows with nothing to generate."""
    (other,) = ((lengths != wanted) & (lengths > 0)).nonzero()
    return int(other[0]) if len(other) else None
