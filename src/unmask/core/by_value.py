"""Equality by value of objects that hold tensors."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten


class ByValue:
    """Base of frozen dataclasses (eq=False): equal fields are equal, tensors by dtype and values.

    Fields are what the object is made of, trees of tensors and of hashable values.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    @cached_property
    def _value(self) -> tuple[object, ...]:
        """The fields in values that can be compared and hashed."""
        made_of = [getattr(self, f.name) for f in fields(self) if f.init]  # type: ignore[arg-type]
        leaves, form = tree_flatten(made_of)
        return (str(form), *map(_value_of, leaves))


def _value_of(leaf: Any) -> object:
    if not isinstance(leaf, Tensor):
        return (type(leaf), leaf)
    return (str(leaf.dtype), tuple(leaf.shape), tuple(leaf.detach().flatten().tolist()))
