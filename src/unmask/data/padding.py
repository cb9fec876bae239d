"""Padding policies: the ids after the end of a row, and whether they are learnt.

B rows, N positions, n positions of one row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unmask.errors import DataError, StrategyError, nearest


@dataclass(frozen=True)
class Padded:
    """Rows of one length."""

    tokens: Tensor  # (B,N) int64
    maskable: Tensor  # (B,N) bool: may be hidden, and so in the loss
    valid: Tensor  # (B,N) bool: False at padding, which no network attends to


class Padding(Protocol):
    """A function from rows (n,) int64 and flags (n,) bool to one batch (B,N).

    N is `length`, or that of the longest row; of `BlockFill`, of its last block.

    Positions that are not maskable, such as prompts, stay so. Raises DataError for a row longer
    than `length`, and for flags that are not one for each token.
    """

    def __call__(
        self,
        rows: Sequence[Tensor],
        maskable: Sequence[Tensor],
        length: int | None = None,
        pad_id: int = 0,
    ) -> Padded: ...


class _Fill(ABC):
    """Rows followed by eos_id, which may be hidden, to an end of their own, and then by pad_id."""

    eos_id: int | None

    @abstractmethod
    def _end(self, count: int, size: int) -> int:
        """Return where a row of `count` tokens ends, in a batch of `size` positions."""

    def __call__(
        self,
        rows: Sequence[Tensor],
        maskable: Sequence[Tensor],
        length: int | None = None,
        pad_id: int = 0,
    ) -> Padded:
        """Return rows (n,) as a batch, as `Padding` says."""
        counts = [len(row) for row in rows]
        longest = max(counts, default=0)
        if length is not None and longest > length:
            raise DataError(
                f"row {counts.index(longest)} has {longest} tokens and the length is {length}: "
                f"pass length={longest}, or cut the row"
            )
        ends = [self._end(count, longest if length is None else length) for count in counts]
        size = max(ends, default=0) if length is None else length
        tokens = torch.full((len(rows), size), pad_id, dtype=torch.int64)
        free = torch.zeros((len(rows), size), dtype=torch.bool)
        for i, (row, flags, end) in enumerate(zip(rows, maskable, ends, strict=True)):
            if row.shape != flags.shape:
                raise DataError(
                    f"row {i} has {len(row)} tokens and {len(flags)} flags: pass one for each token"
                )
            tokens[i, :end] = pad_id if self.eos_id is None else self.eos_id
            free[i, :end] = True
            tokens[i, : len(row)], free[i, : len(row)] = row, flags
        valid = torch.arange(size) < torch.tensor(ends).unsqueeze(1)
        return Padded(tokens, free, valid)


@dataclass(frozen=True)
class Excluded(_Fill):
    """Padding is excluded from attention and loss, so a row gives the loss that it gives alone."""

    eos_id = None

    def _end(self, count: int, size: int) -> int:
        return count


@dataclass(frozen=True)
class EndFill(_Fill):
    """Rows are filled up with eos_id, which is learnt, and with it lengths (LLaDA 2502.09992)."""

    eos_id: int

    def _end(self, count: int, size: int) -> int:
        return size


@dataclass(frozen=True)
class BlockFill(_Fill):
    """The last block of a row is filled up with eos_id, which is learnt; the rest is excluded.

    For generation block by block (2503.09573): a row then learns to end inside its last block.
    """

    eos_id: int
    block: int

    def __post_init__(self) -> None:
        if self.block < 1:
            raise StrategyError(f"block={self.block}: pass the positions of a block, 1 or more")

    def _end(self, count: int, size: int) -> int:
        return -(-count // self.block) * self.block


Policy = Excluded | EndFill | BlockFill
NAMED: dict[str, Any] = {
    "excluded": Excluded,
    "end_of_sequence": EndFill,
    "block_fill": BlockFill,
}


def to_dict(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values: {"name": "block_fill", "eos_id": 2, "block": 32}."""
    name = next(name for name, kind in NAMED.items() if isinstance(policy, kind))
    return {"name": name, **asdict(policy)}


def from_dict(entry: dict[str, Any]) -> Padding:
    """Return the policy of a dict of `to_dict`. Raises StrategyError for unknown entries."""
    options = dict(entry)
    name = options.pop("name", None)
    if name not in NAMED:
        raise StrategyError(f"padding {name!r}: {nearest(str(name), NAMED)}")
    try:
        policy: Padding = NAMED[name](**options)
    except TypeError as error:
        raise StrategyError(f"padding {name!r} with {options}: {error}") from None
    return policy
