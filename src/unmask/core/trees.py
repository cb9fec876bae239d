"""Trees of tensors whose first dimension is the row: conditions, histories.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only


def take_rows(leaf: Tensor, rows: Tensor) -> Tensor:
    """leaf[rows], wherever the numbers of rows are; a leaf that is one row expanded stays so."""
    if leaf.dim() and len(leaf) and leaf.stride(0) == 0 and len(leaf) > 1:
        return leaf[:1].expand(len(rows), *leaf.shape[1:])
    return leaf.index_select(0, rows.to(leaf.device))


def concat_rows(leaves: Sequence[Tensor]) -> Tensor:
    """The rows of all tensors; expanded from one and the same row, they stay so."""
    first = leaves[0]
    same = all(
        leaf.stride() == first.stride() and leaf.data_ptr() == first.data_ptr() for leaf in leaves
    )
    if same and first.dim() and first.stride(0) == 0:
        return first[:1].expand(sum(map(len, leaves)), *first.shape[1:])
    return torch.cat(list(leaves))


def tree_take(tree: Any, rows: Tensor) -> Any:
    """These rows of every tensor in a tree."""
    return tree_map_only(Tensor, lambda leaf: take_rows(leaf, rows), tree)


def tree_put(tree: Any, rows: Tensor, part: Any) -> Any:
    """The tree with `rows` of every tensor replaced by those of `part`."""

    def put(old: Any, new: Any) -> Any:
        return old.index_copy(0, rows, new) if isinstance(old, Tensor) else new

    return tree_map(put, tree, part)


def tree_concat(trees: Sequence[Any]) -> Any:
    """The rows of all trees, which have one form."""

    def join(*leaves: Any) -> Any:
        return concat_rows(leaves) if isinstance(leaves[0], Tensor) else leaves[0]

    return tree_map(join, *trees)


def tree_form(tree: Any) -> tuple[str, tuple[object, ...]]:
    """Return what trees have in common that can be joined: structure, shapes of a row, dtypes."""
    leaves, structure = tree_flatten(tree)
    each = (
        (tuple(leaf.shape[1:]), leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)
        for leaf in leaves
    )
    return str(structure), tuple(each)


def widen(leaf: Tensor, length: int, fill: float = 0, dim: int = 1) -> Tensor:
    """The tensor with `length` positions along `dim`: cut, or filled at the end."""
    short = length - leaf.shape[dim]
    if short == 0:
        return leaf
    if short < 0:
        return leaf.narrow(dim, 0, length)
    shape = list(leaf.shape)
    shape[dim] = short
    return torch.cat([leaf, leaf.new_full(shape, fill)], dim)
