"""Constraints: ids that may not be drawn, anywhere or at a position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.errors import StrategyError


@dataclass(frozen=True)
class Constraint:
    """forbidden: ids never drawn. legal: bool (N,V), or (B,N,V), True where an id may be drawn."""

    forbidden: tuple[int, ...] = ()
    legal: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.forbidden, Iterable):
            raise StrategyError(
                f"forbidden={self.forbidden!r}: pass a list of ids, such as [{self.forbidden!r}]"
            )
        object.__setattr__(self, "forbidden", tuple(self.forbidden))
        if self.legal is not None:
            if not isinstance(self.legal, Tensor):
                kind = type(self.legal).__name__
                raise StrategyError(f"legal is a {kind}: pass a bool tensor of shape (N,V)")
            if self.legal.dtype != torch.bool or self.legal.dim() not in (2, 3):
                raise StrategyError(
                    f"legal is {self.legal.dtype} of shape {tuple(self.legal.shape)}: pass a bool "
                    "tensor of shape (N,V), or (B,N,V), True where an id may be drawn"
                )
            stuck = (~self.legal.any(-1)).nonzero()
            if len(stuck):
                raise StrategyError(
                    f"legal allows no id at index {stuck[0].tolist()}: leave at least one True"
                )

    def check(self, rows: int, length: int, vocab: int) -> None:
        """Raise StrategyError unless the table fits `rows` rows of N and a vocabulary V."""
        check_ids("forbidden", self.forbidden, vocab)
        if self.legal is None:
            return
        shape = tuple(self.legal.shape)
        if shape[-2:] != (length, vocab) or (len(shape) == 3 and shape[0] < rows):
            wanted = (length, vocab) if len(shape) == 2 else (rows, length, vocab)
            raise StrategyError(
                f"legal has shape {shape}; this canvas and vocabulary need {wanted}"
            )

    def illegal_at(self, row: Tensor, position: Tensor) -> Tensor | None:
        """(M,V) bool for rows (M,) and positions (M,) of the canvas; None when all is legal."""
        if self.legal is None:
            return None
        table = self.legal.to(position.device)
        return ~(table[position] if table.dim() == 2 else table[row, position])


def check_ids(name: str, ids: Iterable[int], vocab: int) -> None:
    """Raise StrategyError unless every id is inside the vocabulary."""
    outside = [i for i in ids if not 0 <= i < vocab]
    if outside:
        raise StrategyError(f"{name} ids {outside} are outside the vocabulary of {vocab}")
