"""Checks of options, with one message each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np
from torch import Tensor

from unmask.errors import InputError, StrategyError


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


def check_count(name: str, value: int) -> None:
    """Raise StrategyError unless the value is an integer of 1 or more."""
    if not is_integer(value, 1):
        raise StrategyError(f"{name}={value!r}: pass an integer of 1 or more")


def as_ids(name: str, ids: object, kind: type[InputError] = StrategyError) -> tuple[int, ...]:
    """Return a list, array or tensor of ids as ints. Raises an error of `kind` otherwise."""
    given = ids.tolist() if isinstance(ids, Tensor | np.ndarray) else ids
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
        raise kind(f"{name}={ids!r}: pass a list of ids, such as [{given!r}]")
    found: list[Any] = [i.item() if isinstance(i, np.generic) or _is_one(i) else i for i in given]
    wrong = [i for i in found if not is_integer(i)]
    if wrong:
        raise kind(f"{name} holds {wrong[0]!r}: pass integer ids, such as [0, 3]")
    return tuple(found)


def _is_one(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.dim() == 0
