"""Feasibility hooks: the ids that a position may hold so that its row can still become valid.

A hook is called for one position of each row at a time. `Listed` allows the sequences of a list.
Any callable like `Feasible` is a hook; `Automaton`, which is one too, is asked for many positions
at once.

Shapes: b rows, N positions, V vocabulary, G listed sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unmask.constraints.automaton import integers, is_index
from unmask.core.arrays import first_true
from unmask.core.by_value import ByValue
from unmask.errors import StrategyError


class Feasible(Protocol):
    """A function: tokens (b,N) int64, known (b,N) bool, position (b,) int64 -> (b,V) bool.

    The result is True at ids that, put at the row's position, leave some valid sequence that agrees
    with all known tokens. Prompts count as known; `tokens` is arbitrary at unknown positions.
    """

    def __call__(self, tokens: Tensor, known: Tensor, position: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Listed(ByValue):
    """The sequences of a list, integers (G,N) from 0 to vocab_size − 1.

    Raises StrategyError for ids out of range.
    """

    sequences: Tensor
    vocab_size: int

    def __post_init__(self) -> None:
        listed = integers("sequences", "(G,N)", self.sequences, 2)
        if not is_index(self.vocab_size, torch.iinfo(torch.int64).max) or self.vocab_size < 1:
            raise StrategyError(
                f"vocab_size={self.vocab_size!r}: pass the number of ids, such as 17"
            )
        if (at := first_true((listed < 0) | (listed >= self.vocab_size))) is not None:
            raise StrategyError(
                f"sequence {at[0]} has id {int(listed[tuple(at)])} at position {at[1]}: pass "
                f"ids from 0 to {self.vocab_size - 1}"
            )
        object.__setattr__(self, "sequences", listed)

    def __call__(
        self, tokens: Tensor, known: Tensor, position: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Return (b,V) bool, as in `Feasible`. Raises StrategyError for rows of another length.

        valid: (b,N) bool, False at padding, which does not count.
        """
        listed = self.sequences.to(tokens.device)
        lengths = [tokens.shape[1]] if valid is None else valid.sum(1).unique().tolist()
        for length in (length for length in lengths if length != listed.shape[1]):
            raise StrategyError(
                f"rows have {length} positions and the listed sequences {listed.shape[1]}: list "
                f"sequences of {length} ids"
            )
        agrees = torch.ones(len(tokens), len(listed), dtype=torch.bool, device=tokens.device)
        for i in range(listed.shape[1]):
            asked = ~known[:, i] | (position == i)
            agrees &= (tokens[:, i, None] == listed[:, i]) | asked.unsqueeze(1)
        count = torch.zeros(len(tokens), self.vocab_size, dtype=torch.int64, device=tokens.device)
        return count.scatter_add_(1, listed.T[position], agrees.long()) > 0
