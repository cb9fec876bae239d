"""Checks of options, with one message each."""

from __future__ import annotations

import sys
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, TypeGuard

from unmask.errors import CheckpointError, InputError, StrategyError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def as_integer(value: object) -> int | None:
    """Return an int or numpy's integer as an int, and None for anything else, such as a bool."""
    integer = isinstance(value, Integral) and not isinstance(value, bool)
    return int(value) if integer else None  # type: ignore[call-overload]


def check_share(name: str, value: float) -> None:
    """Raise StrategyError unless the value is a probability."""
    if not (is_number(value) and 0 <= value <= 1):
        raise StrategyError(f"{name}={value!r}: pass a probability in [0, 1], such as 0.9")


def check_share_below_one(name: str, value: float) -> None:
    """Raise StrategyError unless the value is in [0, 1)."""
    if not (is_number(value) and 0 <= value < 1):
        raise StrategyError(f"{name}={value!r}: pass a share in [0, 1), such as 0.1")


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


def check_flag(name: str, value: object, kind: type[InputError] = StrategyError) -> None:
    """Raise an error of `kind` unless the value is True or False."""
    if not isinstance(value, bool):
        raise kind(f"{name}={value!r}: pass True or False")


def check_dicts(kind: type[InputError], **named: object) -> None:
    """Raise an error of `kind` unless each value is a dict, or None."""
    for name, value in named.items():
        if value is not None and not isinstance(value, dict):
            raise kind(f"{name} is a {type(value).__name__}: pass a dict of JSON values")


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise StrategyError unless the value is one of these names."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise StrategyError(f"{name}={value!r}: {nearest(str(value), names)}")


def check_path(name: str, path: object) -> None:
    """Raise CheckpointError unless this is a path."""
    if not isinstance(path, str | PathLike):
        raise CheckpointError(
            f"{name} is a {type(path).__name__}: pass the path of a folder, such as 'my-model'"
        )
