"""The canvas: what is given and what generation may write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from unmask.constraints import check_legal, check_required
from unmask.core.checks import check_count
from unmask.core.ids import are_integers
from unmask.core.trees import tree_take
from unmask.errors import CanvasError


@dataclass(frozen=True)
class Canvas:
    """B rows of N positions: tokens (B,N) int64, editable and valid (B,N) bool.

    Tokens of other integers become int64.
    `editable` is True where generation may write; what stands there in `tokens` is ignored. `valid`
    is False at padding. What belongs to a row and not to a rule is here, too:

    condition: handed to the denoiser: a tensor, or a tree of tensors, whose first dimension is B
    (the class of each image, say); other leaves of a dict, such as a name, are of all rows. steps:
    (B,) int64, the steps of each row, in place of the strategy's. legal: bool (N,V), or (B,N,V),
    True where an id may be drawn. required: int64 (N,) or (B,N), the id that a position must get,
    −1 where it is free.
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
        _check_ids(self.tokens)
        object.__setattr__(self, "tokens", self.tokens.to(torch.int64))
        if self.tokens.shape[1] == 0:
            raise CanvasError(f"tokens has shape {self.shape}: a row needs one position or more")
        if self.steps is not None:
            object.__setattr__(self, "steps", steps_of_rows(self.steps, len(self.tokens)))
        if self.legal is not None:
            check_legal(self.legal, self.shape)
        if self.required is not None:
            check_required(self.required, self.shape)
        for name, flags in (("editable", self.editable), ("valid", self.valid)):
            _check_flags(name, flags, self.tokens.shape)
        if bool((self.editable & ~self.valid).any()):
            row, position = (self.editable & ~self.valid).nonzero()[0].tolist()
            raise CanvasError(
                f"editable is True at padding (row {row}, position {position}): "
                "generation cannot write where valid is False"
            )
        gap = self.valid[:, 1:] & ~self.valid[:, :-1]
        if bool(gap.any()):
            row, position = gap.nonzero()[0].tolist()
            raise CanvasError(
                f"padding of row {row} stands before position {position + 1}: padding must be at "
                "the end of a row, because positions are counted from its start"
            )
        if self.required is not None:
            _check_kept(self)
        _check_condition(self.condition, len(self.tokens))

    @property
    def shape(self) -> tuple[int, int]:
        """(B, N)."""
        return self.tokens.shape[0], self.tokens.shape[1]

    @classmethod
    def blank(cls, batch_size: int, length: int, **of_rows: Any) -> Canvas:
        """Every position unknown. of_rows: condition, steps, legal and required."""
        for name, size in (("batch_size", batch_size), ("length", length)):
            check_count(name, size, CanvasError)
        tokens = torch.zeros(batch_size, length, dtype=torch.int64)
        everywhere = torch.ones(batch_size, length, dtype=torch.bool)
        return cls(tokens, everywhere, everywhere.clone(), **of_rows)

    @classmethod
    def infill(
        cls, tokens: Tensor, editable: Tensor, *, valid: Tensor | None = None, **of_rows: Any
    ) -> Canvas:
        """Given integer tokens (B,N); those where editable (B,N) bool is True are generated.

        of_rows: condition, steps, legal and required.
        """
        _check_ids(tokens)
        if valid is None:
            valid = torch.ones(tokens.shape, dtype=torch.bool, device=tokens.device)
        return cls(tokens, editable, valid, **of_rows)

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
        rows = [torch.as_tensor(ids) for ids in sequences]
        if not rows or any(ids.dim() != 1 or len(ids) == 0 for ids in rows):
            raise CanvasError("ragged needs at least one row, and a flat list of ids in every row")
        if not all(map(are_integers, rows)):
            raise CanvasError("ids must be integers; a row of ragged holds floats or booleans")
        flags = _ragged_flags(rows, editable)
        valid = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.bool)
        tokens = torch.full(valid.shape, pad_id, dtype=torch.int64)
        writable = torch.zeros_like(valid)
        for i, (ids, flag) in enumerate(zip(rows, flags, strict=True)):
            valid[i, : len(ids)] = True
            tokens[i, : len(ids)] = ids
            writable[i, : len(ids)] = flag
        return cls(tokens, writable, valid, **of_rows)

    def to(self, device: torch.device | str) -> Canvas:
        """The same canvas on another device."""
        return self._map(lambda leaf: leaf.to(device))

    @property
    def generated_lengths(self) -> np.ndarray:
        """(B,) int64, on the host: positions before the padding, 0 where nothing is generated."""
        return (self.valid.sum(1) * self.editable.any(1)).cpu().numpy()

    def take(self, rows: Tensor) -> Canvas:
        """These rows (b,) int64, in this order; one may stand more than once."""
        shared = {}
        for name, rank in (("legal", 3), ("required", 2)):
            of_all = getattr(self, name)
            if of_all is not None and of_all.dim() < rank:
                shared[name] = of_all
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in shared}
        return Canvas(**tree_take(named, rows), **shared)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Canvas:
        """Every tensor changed."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return Canvas(
            **tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, named)
        )


def _check_kept(canvas: Canvas) -> None:
    """Raise CanvasError where a required id is not that of a prompt, which generation keeps."""
    assert canvas.required is not None
    required = canvas.required.to(canvas.tokens.device)
    given = canvas.valid & ~canvas.editable & (required >= 0)
    wrong = (given & (canvas.tokens != required)).nonzero()
    if len(wrong):
        row, position = wrong[0].tolist()
        wanted = int(required.expand(canvas.shape)[row, position])
        raise CanvasError(
            f"required has id {wanted} at row {row}, position {position}, where id "
            f"{int(canvas.tokens[row, position])} is given: make the position editable, or put −1 "
            "there"
        )


def _check_condition(condition: Any, rows: int) -> None:
    """Raise CanvasError for leaves that cannot be cut into rows as tensors are."""
    for leaf in tree_leaves(condition, is_leaf=_is_listed):
        if isinstance(leaf, np.ndarray) or _is_listed(leaf):
            array = isinstance(leaf, np.ndarray)
            what = f"numpy array of shape {leaf.shape}" if array else type(leaf).__name__
            way_out = "torch.from_numpy(array)" if array else "a tensor of B rows"
            raise CanvasError(
                f"condition holds a {what}, which would not be cut into rows: pass {way_out}"
            )
        if isinstance(leaf, Tensor) and (leaf.dim() == 0 or len(leaf) != rows):
            raise CanvasError(
                f"condition of shape {tuple(leaf.shape)} for {rows} rows: its first dimension must "
                "be the batch"
            )


def _is_listed(node: object) -> bool:
    """Whether this is a list of numbers or names, as of one for each row."""
    return isinstance(node, list | tuple) and any(isinstance(i, int | float | str) for i in node)


def _check_ids(tokens: object) -> None:
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or not are_integers(tokens):
        kind = type(tokens).__name__
        got = f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else kind
        raise CanvasError(f"tokens must be a tensor of integer ids of shape (B,N); got {got}")


def _check_flags(name: str, flags: object, shape: torch.Size) -> None:
    if not isinstance(flags, Tensor) or flags.dtype != torch.bool or flags.shape != shape:
        got = (
            f"{flags.dtype} {tuple(flags.shape)}"
            if isinstance(flags, Tensor)
            else type(flags).__name__
        )
        raise CanvasError(
            f"{name} must be a bool tensor of the shape of tokens, {tuple(shape)}; got {got}"
        )


def _ragged_flags(
    rows: list[Tensor], editable: Sequence[Sequence[bool] | Tensor] | None
) -> list[Tensor]:
    if editable is None:
        return [torch.ones(len(ids), dtype=torch.bool) for ids in rows]
    flags = [torch.as_tensor(flag) for flag in editable]
    if len(flags) != len(rows):
        raise CanvasError(f"editable has {len(flags)} rows for {len(rows)} sequences")
    for i, (ids, flag) in enumerate(zip(rows, flags, strict=True)):
        if flag.dtype != torch.bool or flag.shape != ids.shape:
            raise CanvasError(
                f"editable of row {i} is {flag.dtype} of length {flag.numel()}: pass one bool for "
                f"each of its {len(ids)} ids"
            )
    return flags


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
