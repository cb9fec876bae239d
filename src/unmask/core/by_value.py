"""Equality by value of objects that hold tensors."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten


class ByValue:
    """Base of frozen dataclasses (eq=False): equal fields are equal, tensors by dtype and values.

    Fields are what the object is made of, trees of tensors and of hashable values.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        (form, leaves), (other_form, other_leaves) = _made_of(self), _made_of(other)
        return form == other_form and all(map(_equal, leaves, other_leaves))

    def __hash__(self) -> int:
        form, leaves = _made_of(self)
        return hash((form, *map(_kind, leaves)))


def _made_of(value: Any) -> tuple[str, list[Any]]:
    """The form of the tree of an object's fields, and its leaves."""
    leaves, form = tree_flatten([getattr(value, f.name) for f in fields(value) if f.init])
    return str(form), leaves


def _equal(one: Any, other: Any) -> bool:
    if _kind(one) != _kind(other):
        return False
    return not isinstance(one, Tensor) or torch.equal(one, other.to(one.device))


def _kind(leaf: Any) -> object:
    """What equal leaves have in common: all of a value, of a tensor its dtype and shape."""
    if isinstance(leaf, Tensor):
        return (leaf.dtype, tuple(leaf.shape))
    return (type(leaf), leaf)
