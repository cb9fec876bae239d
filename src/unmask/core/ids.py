"""Ids as options: lists, arrays and tensors of them, as ints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from unmask.core.checks import is_integer
from unmask.errors import InputError, StrategyError


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


def check_forbidden(ids: Iterable[int], vocab: int, kind: type[InputError] = StrategyError) -> None:
    """Raise an error of `kind` unless every forbidden id is inside the vocabulary."""
    outside = [i for i in ids if not 0 <= i < vocab]
    if outside:
        raise kind(
            f"forbidden ids {outside} are outside the vocabulary of {vocab}: pass ids from "
            f"0 to {vocab - 1}"
        )


def are_integers(ids: Tensor) -> bool:
    """Whether a tensor holds integers, and no bools."""
    return not (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)


def _is_one(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.dim() == 0
