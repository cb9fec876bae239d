"""The record that generation returns. Shapes: B rows, N positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Generation:
    """The whole record of a finished generation."""

    tokens: Tensor  # (B,N) int64
    logprob: Tensor  # (B,N) float32: under the model when committed; 0 where given
    sampling_logprob: Tensor  # (B,N) float32: under the distribution drawn from; 0 where given
    commit_step: Tensor  # (B,N) int64: NEVER where given
    steps: Tensor  # (B,) int64
    forwards: Tensor  # (B,) int64
    seeds: Tensor  # (B,) int64
    editable: Tensor  # (B,N) bool
    valid: Tensor  # (B,N) bool

    def take(self, rows: Tensor | slice) -> Generation:
        """These rows, in this order."""
        return Generation(*(value[rows] for value in vars(self).values()))

    def cut(self) -> Generation:
        """The record without the padding that every row has."""
        length = int(self.valid.sum(1).max())
        return Generation(*(v[:, :length] if v.dim() > 1 else v for v in vars(self).values()))

    @staticmethod
    def concat(parts: Sequence[Generation]) -> Generation:
        """The rows of all parts, of one width."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return Generation(*map(torch.cat, columns))
