"""The cache of self-conditioning: the hidden states of the step before.

Shapes: R rows, N positions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device
from unmask.core.trees import widen


@dataclass(frozen=True)
class HiddenCache:
    """hidden (R,N,D), valid for rows where begun (R,) bool, on the host, is True."""

    hidden: Tensor
    begun: np.ndarray

    @classmethod
    def of(cls, hidden: Tensor) -> HiddenCache:
        """Return the cache of hidden states (R,N,D) of rows that have begun, without gradients."""
        return cls(hidden.detach(), np.ones(len(hidden), bool))

    def take(self, rows: np.ndarray) -> HiddenCache:
        """These rows alone."""
        index = to_device(rows, self.hidden.device)
        return HiddenCache(self.hidden.index_select(0, index), self.begun[rows])

    def put(self, rows: np.ndarray, part: HiddenCache) -> HiddenCache:
        """This cache with `rows` replaced."""
        index, begun = to_device(rows, self.hidden.device), self.begun.copy()
        begun[rows] = part.begun
        return HiddenCache(self.hidden.index_copy(0, index, part.hidden), begun)

    def resize(self, length: int) -> HiddenCache:
        """The cache for rows of `length` positions."""
        return HiddenCache(widen(self.hidden, length), self.begun)

    def blank(self, rows: int) -> HiddenCache:
        """Rows that have not begun."""
        return HiddenCache(
            self.hidden.new_zeros(rows, *self.hidden.shape[1:]), np.zeros(rows, bool)
        )

    def concat(self, others: Sequence[HiddenCache]) -> HiddenCache:
        """The rows of this cache, then those of the others."""
        every = (self, *others)
        hidden = torch.cat([cache.hidden for cache in every])
        return HiddenCache(hidden, np.concatenate([cache.begun for cache in every]))
