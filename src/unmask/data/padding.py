"""Padding policies: the ids after the end of a row, and whether they are learnt.

B rows, N positions, n positions of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

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


@dataclass(frozen=True)
class Excluded:
    """Padding is excluded from attention and loss, so a row gives the loss that it gives alone."""

    eos_id: ClassVar[None] = None

    def __call__(
        self,
        rows: Sequence[Tensor],
        maskable: Sequence[Tensor],
        length: int | None = None,
        pad_id: int = 0,
    ) -> Padded:
        """Return the rows followed by pad_id."""
        return _filled(rows, maskable, [len(row) for row in rows], length, pad_id, pad_id)


@dataclass(frozen=True)
class EndFill:
    """Rows are filled up with eos_id, which is learnt, and with it lengths (LLaDA 2502.09992)."""

    eos_id: int

    def __call__(
        self,
        rows: Sequence[Tensor],
        maskable: Sequence[Tensor],
        length: int | None = None,
        pad_id: int = 0,
    ) -> Padded:
        """Return the rows followed by eos_id, up to `length`."""
        size = _length(rows, length)
        return _filled(rows, maskable, [size] * len(rows), size, self.eos_id, pad_id)


@dataclass(frozen=True)
class BlockFill:
    """The last block of a row is filled up with eos_id, which is learnt; the rest is excluded.

    For generation block by block (2503.09573): a row then learns to end inside its last block.
    """

    eos_id: int
    block: int

    def __post_init__(self) -> None:
        if self.block < 1:
            raise StrategyError(f"block={self.block}: pass the positions of a block, 1 or more")

    def __call__(
        self,
        rows: Sequence[Tensor],
        maskable: Sequence[Tensor],
        length: int | None = None,
        pad_id: int = 0,
    ) -> Padded:
        """Return the rows followed by eos_id to the end of their block, then pad_id."""
        ends = [-(-len(row) // self.block) * self.block for row in rows]
        size = max(ends, default=0) if length is None else length
        ends = [min(end, size) for end in ends]
        return _filled(rows, maskable, ends, size, self.eos_id, pad_id)


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


def _filled(
    rows: Sequence[Tensor],
    maskable: Sequence[Tensor],
    ends: Sequence[int],
    length: int | None,
    fill_id: int,
    pad_id: int,
) -> Padded:
    """Return each row followed by fill_id up to its end, then pad_id."""
    size = _length(rows, length)
    tokens = torch.full((len(rows), size), pad_id, dtype=torch.int64)
    free = torch.zeros((len(rows), size), dtype=torch.bool)
    for i, (row, flags, end) in enumerate(zip(rows, maskable, ends, strict=True)):
        if row.shape != flags.shape:
            raise DataError(
                f"row {i} has {len(row)} tokens and {len(flags)} flags: pass one for each token"
            )
        tokens[i, : len(row)], free[i, : len(row)] = row, flags
        tokens[i, len(row) : end], free[i, len(row) : end] = fill_id, True
    valid = torch.arange(size) < torch.tensor(list(ends)).unsqueeze(1)
    return Padded(tokens, free, valid)


def _length(rows: Sequence[Tensor], length: int | None) -> int:
    longest = max((len(row) for row in rows), default=0)
    if length is not None and longest > length:
        where = [len(row) for row in rows].index(longest)
        raise DataError(
            f"row {where} has {longest} tokens and the length is {length}: pass length={longest}, "
            "or cut the row"
        )
    return longest if length is None else length
