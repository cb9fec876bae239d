"""Ids as options: lists, arrays and tensors of them, as ints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from unmask.core.checks import is_integer
from unmask.errors import InputError, StrategyError


def as_ids(
    name: str, ids: object, kind: type[InputError] = StrategyError, *, what: str = "ids"
) -> tuple[int, ...]:
    """Return a list, array or tensor of ids as ints. Raises an error of `kind` otherwise."""
    given = ids.tolist() if isinstance(ids, Tensor | np.ndarray) else ids
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
        example = f"[{given!r}]" if is_integer(given) else "[1, 3]"
        raise kind(f"{name}={ids!r}: pass a list of {what}, such as {example}")
    found: list[Any] = [i.item() if isinstance(i, np.generic) or _is_one(i) else i for i in given]
    wrong = [i for i in found if not is_integer(i)]
    if wrong:
        words = [i for i in found if isinstance(i, str)]
        way_out = f"; those of words are tokenizer.convert_tokens_to_ids({words})" if words else ""
        raise kind(f"{name} holds {wrong[0]!r}: pass integer {what}, such as [1, 3]{way_out}")
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
