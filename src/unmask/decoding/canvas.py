"""The canvas: what is given and what generation may write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from unmask.constraints.constraint import check_legal, check_required
from unmask.core.arrays import Table, first_true, tensor_of
from unmask.core.checks import check_count, is_integer, is_number
from unmask.core.ids import are_integers
from unmask.core.trees import tree_take
from unmask.errors import CanvasError


@dataclass(frozen=True)
class Canvas:
    """B rows of N positions: tokens (B,N) int64, editable and valid (B,N) bool.

    Arrays, lists of rows, and other integers become such tensors.
    `editable` is True where generation may write; what stands there in `tokens` is ignored. `valid`
    is False at padding. What belongs to a row and not to a rule is here, too:

    condition: handed to the denoiser: a tensor, array or list whose first dimension is B (the class
    of each image, say), or a tree of such; other leaves of a dict, such as a name, and a condition
    that is one number, are of all rows. steps: (B,) int64, the steps of each row, in place of the
    strategy's. legal: bool (N,V), or (B,N,V), True where an id may be drawn. required: int64 (N,)
    or (B,N), the id that a position must get, −1 where it is free.
    Make one with `blank`, `infill` or `ragged`; all raise CanvasError for ids, shapes or dtypes
    that cannot work.
    """

    tokens: Tensor
    editable: Tensor
    valid: Tensor
    condition: Any = None
    steps: Tensor | Sequence[int] | None = None
    legal: Tensor | None = None
    required: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "editable", "valid", "legal", "required"):
            object.__setattr__(self, name, tensor_of(getattr(self, name)))
        _check_ids(self.tokens)
        rows = len(self.tokens)
        object.__setattr__(self, "tokens", self.tokens.to(torch.int64))
        object.__setattr__(self, "condition", of_rows(self.condition, rows))
        if self.tokens.shape[1] == 0:
            raise CanvasError(f"tokens has shape {self.shape}: a row needs one position or more")
        if self.steps is not None:
            object.__setattr__(self, "steps", steps_of_rows(self.steps, rows))
        if self.legal is not None:
            check_legal(self.legal, self.shape)
        if self.required is not None:
            check_required(self.required, self.shape)
        for name in ("editable", "valid"):
            _check_flags(name, getattr(self, name), self.shape)
        if (at := first_true(self.editable & ~self.valid)) is not None:
            raise CanvasError(
                f"editable is True at padding (row {at[0]}, position {at[1]}): "
                "generation cannot write where valid is False"
            )
        if (at := first_true(self.valid[:, 1:] & ~self.valid[:, :-1])) is not None:
            raise CanvasError(
                f"padding of row {at[0]} stands before position {at[1] + 1}: padding must be at "
                "the end of a row, because positions are counted from its start; pass the rows "
                "without padding to Canvas.ragged(sequences)"
            )
        if self.required is not None:
            _check_kept(self)
        _check_condition(self.condition, rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, N)."""
        return self.tokens.shape[0], self.tokens.shape[1]

    @classmethod
    def blank(cls, batch_size: int, length: int, **of_rows: Any) -> Canvas:
        """Every position unknown. of_rows: condition, steps, legal and required."""
        for name, size in (("batch_size", batch_size), ("length", length)):
            check_count(name, size, CanvasError)
        try:
            tokens = torch.zeros(batch_size, length, dtype=torch.int64)
            everywhere = torch.ones(batch_size, length, dtype=torch.bool)
        except RuntimeError as error:
            raise CanvasError(
                f"batch_size={batch_size} and length={length}: {batch_size * length:,} positions "
                "are more than memory holds: pass fewer rows at a time, or shorter ones"
            ) from error
        return cls(tokens, everywhere, everywhere.clone(), **of_rows)

    @classmethod
    def infill(
        cls, tokens: Table, editable: Table, *, valid: Table | None = None, **of_rows: Any
    ) -> Canvas:
        """Given integer tokens (B,N); those where editable (B,N) bool is True are generated.

        Each is a tensor, an array or a list of rows. of_rows: condition, steps, legal and required.
        """
        ids = tensor_of(tokens)
        _check_ids(ids)
        everywhere = torch.ones(ids.shape, dtype=torch.bool, device=ids.device)
        flags = everywhere if valid is None else tensor_of(valid)
        return cls(ids, tensor_of(editable), flags, **of_rows)

    @classmethod
    def ragged(
        cls,
        sequences: Sequence[Sequence[int] | Tensor],
        editable: Sequence[Sequence[bool] | Tensor] | None = None,
        *,
        pad_id: int = 0,
        **of_rows: Any,
    ) -> Canvas:
        """Rows of different lengths, padded on the right with pad_id (never generated, never read).

        editable: one sequence of bool per row, of that row's length; None makes all editable.
        of_rows: condition, steps, legal and required.
        """
        rows = _ragged_rows(sequences)
        if not is_integer(pad_id) or abs(pad_id) > sys.maxsize:
            raise CanvasError(f"pad_id={pad_id!r}: pass an integer id, such as 0")
        flags = _ragged_flags(rows, editable)
        valid = _padded([torch.ones_like(ids, dtype=torch.bool) for ids in rows])
        tokens = _padded([ids.long() for ids in rows]).masked_fill(~valid, pad_id)
        return cls(tokens, _padded(flags), valid, **of_rows)

    def to(self, device: torch.device | str) -> Canvas:
        """The same canvas on another device."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return Canvas(**tree_map_only(Tensor, lambda leaf: leaf.to(device), named))

    @property
    def generated_lengths(self) -> np.ndarray:
        """(B,) int64, on the host: positions before the padding, 0 where nothing is generated."""
        return (self.valid.sum(1) * self.editable.any(1)).cpu().numpy()

    def take(self, rows: Tensor) -> Canvas:
        """These rows (b,) int64, in this order; one may stand more than once."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        rank = {"legal": 3, "required": 2}
        shared = [n for n in rank if named[n] is not None and named[n].dim() < rank[n]]
        of_all = {name: named.pop(name) for name in shared}
        return Canvas(**tree_take(named, rows), **of_all)


def _check_kept(canvas: Canvas) -> None:
    """Raise CanvasError where a required id is not that of a prompt, which generation keeps."""
    assert canvas.required is not None
    required = canvas.required.to(canvas.tokens.device)
    given = canvas.valid & ~canvas.editable & (required >= 0)
    if (at := first_true(given & (canvas.tokens != required))) is not None:
        row, position = at
        wanted = int(required.expand(canvas.shape)[row, position])
        raise CanvasError(
            f"required has id {wanted} at row {row}, position {position}, where id "
            f"{int(canvas.tokens[row, position])} is given: make the position editable, or put −1 "
            "there"
        )


def of_rows(condition: Any, rows: int) -> Any:
    """Return a condition with arrays and lists of numbers as tensors, and a number for each row."""
    if is_number(condition):
        try:
            return torch.full((rows,), condition)
        except (RuntimeError, OverflowError):
            raise CanvasError(
                f"condition={condition!r} is beyond a tensor's numbers: pass a class number"
            ) from None
    return tree_map(tensor_of, condition, is_leaf=_is_listed)


def _check_condition(condition: Any, rows: int) -> None:
    """Raise CanvasError for leaves that cannot be cut into rows as tensors are."""
    for leaf in tree_leaves(condition, is_leaf=_is_listed):
        if isinstance(leaf, np.ndarray) or _is_listed(leaf):
            raise CanvasError(
                f"condition holds a {type(leaf).__name__}, which would not be cut into rows: pass "
                "a tensor of B rows"
            )
        if isinstance(leaf, Tensor) and (leaf.dim() == 0 or len(leaf) != rows):
            raise CanvasError(
                f"condition of shape {tuple(leaf.shape)} for {rows} rows: its first dimension must "
                "be the batch"
            )


def _is_listed(node: object) -> bool:
    """Whether this is a list of numbers or names, or of such lists, as of one for each row."""
    return isinstance(node, list | tuple) and any(
        isinstance(each, int | float | str | np.generic) or _is_listed(each) for each in node
    )


def _check_ids(tokens: object) -> None:
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or not are_integers(tokens):
        raise CanvasError(
            f"tokens must be a tensor of integer ids of shape (B,N); got {_described(tokens)}"
        )


def _check_flags(name: str, flags: object, shape: tuple[int, int]) -> None:
    if not isinstance(flags, Tensor) or flags.dtype != torch.bool or flags.shape != shape:
        raise CanvasError(
            f"{name} must be a bool tensor of the shape of tokens, {shape}; got {_described(flags)}"
        )


def _described(given: object) -> str:
    """`torch.int64 (2, 3)`, or the type of what is no tensor, and what to do with it."""
    if isinstance(given, Tensor):
        row = "; for one row, pass [row]" if given.dim() == 1 else ""
        return f"{given.dtype} {tuple(given.shape)}{row}"
    rows = given if isinstance(given, list | tuple) else ()
    sizes = {len(row) for row in rows if isinstance(row, Sized)}
    uneven = " of rows of unequal length: pass them to Canvas.ragged" if len(sizes) > 1 else ""
    return f"{type(given).__name__}{uneven}"


def _ragged_rows(sequences: Any) -> list[Tensor]:
    """Return the ids of each row, (n,). Raises CanvasError unless they are flat lists of ids."""
    rows = [tensor_of(ids) for ids in sequences] if _is_rows(sequences) else []
    if not rows or any(not isinstance(ids, Tensor) or ids.dim() != 1 for ids in rows):
        raise CanvasError(
            "ragged needs at least one row, and a flat list of ids in every row, such as "
            f"[[1, 2, 3], [4]]; got {rows[0] if rows else sequences!r}"
        )
    if not all(map(len, rows)):
        raise CanvasError("ragged needs a flat list of ids in every row; one is empty")
    if not all(map(are_integers, rows)):
        raise CanvasError("ids must be integers; a row of ragged holds floats or booleans")
    return rows


def _ragged_flags(
    rows: list[Tensor], editable: Sequence[Sequence[bool] | Tensor] | None
) -> list[Tensor]:
    if editable is None:
        return [torch.ones(len(ids), dtype=torch.bool) for ids in rows]
    flags = [tensor_of(flag) for flag in editable] if _is_rows(editable) else []
    if len(flags) != len(rows):
        raise CanvasError(f"editable has {len(flags)} rows for {len(rows)} sequences")
    for i, (ids, flag) in enumerate(zip(rows, flags, strict=True)):
        if not isinstance(flag, Tensor) or flag.dtype != torch.bool or flag.shape != ids.shape:
            tensor = isinstance(flag, Tensor)
            got = f"{flag.dtype} of length {flag.numel()}" if tensor else _described(flag)
            raise CanvasError(
                f"editable of row {i} is {got}: pass one bool for each of its {len(ids)} ids"
            )
    return flags


def _padded(rows: list[Tensor]) -> Tensor:
    """(B,N), with zeros behind shorter rows, on the host."""
    return pad_sequence([row.cpu() for row in rows], batch_first=True)


def _is_rows(given: object) -> bool:
    """Whether this can be gone through row by row."""
    if isinstance(given, Tensor | np.ndarray):
        return given.ndim > 0
    return isinstance(given, Iterable) and not isinstance(given, str | bytes)


def steps_of_rows(steps: Tensor | Sequence[int], rows: int) -> Tensor:
    """(B,) int64 on the host. Raises CanvasError unless it is one number of steps for each row."""
    try:
        given = torch.as_tensor(steps).cpu()
    except (TypeError, ValueError, RuntimeError):
        given = torch.zeros(0)
    flags = isinstance(steps, Sequence) and any(isinstance(each, bool) for each in steps)
    shaped = given.dim() == 1 and len(given) == rows
    if flags or not shaped or not are_integers(given) or bool((given < 1).any()):
        raise CanvasError(
            f"steps={steps!r} for {rows} rows: pass one integer of 1 or more for each row"
        )
    return given.long()
