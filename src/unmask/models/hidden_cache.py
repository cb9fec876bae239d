"""What a network keeps of each row from step to step, and the cache of self-conditioning.

Shapes: R rows, N positions, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from unmask.core.arrays import to_device
from unmask.core.trees import tree_concat, tree_put, tree_take, widen

Kind = TypeVar("Kind", bound="RowCache")


@dataclass(frozen=True)
class RowCache(ABC):
    """Base of caches whose further fields are trees of tensors with rows first."""

    begun: np.ndarray  # (R,) bool, on the host: rows of which something is kept

    @property
    def _trees(self) -> dict[str, Any]:
        return {name: tree for name, tree in vars(self).items() if name != "begun"}

    def _index(self, rows: np.ndarray) -> Tensor:
        return to_device(rows, tree_leaves(self._trees)[0].device)

    def take(self: Kind, rows: np.ndarray) -> Kind:
        """These rows alone."""
        return replace(self, begun=self.begun[rows], **tree_take(self._trees, self._index(rows)))

    def put(self: Kind, rows: np.ndarray, part: Kind) -> Kind:
        """This cache with `rows` replaced."""
        begun = self.begun.copy()
        begun[rows] = part.begun
        return replace(self, begun=begun, **tree_put(self._trees, self._index(rows), part._trees))

    @abstractmethod
    def resize(self: Kind, length: int) -> Kind:
        """The cache for rows of `length` positions."""

    def blank(self: Kind, rows: int) -> Kind:
        """Rows that have not begun."""
        empty = tree_map(lambda leaf: leaf.new_zeros(rows, *leaf.shape[1:]), self._trees)
        return replace(self, begun=np.zeros(rows, bool), **empty)

    def concat(self: Kind, others: Sequence[Kind]) -> Kind:
        """The rows of this cache, then those of the others."""
        every = (self, *others)
        begun = np.concatenate([each.begun for each in every])
        return replace(self, begun=begun, **tree_concat([each._trees for each in every]))


@dataclass(frozen=True)
class HiddenCache(RowCache):
    """The hidden states of the step before."""

    hidden: Tensor  # (R,N,D)

    @classmethod
    def of(cls, hidden: Tensor) -> HiddenCache:
        """Return the cache of hidden states (R,N,D) of rows that have begun, without gradients."""
        return cls(np.ones(len(hidden), bool), hidden.detach())

    def resize(self, length: int) -> HiddenCache:
        return replace(self, hidden=widen(self.hidden, length))
