"""Rows of unequal length in passes of one length each, where padding would change them.

Shapes: R rows, N positions, D width; r rows of one length n.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.core.arrays import to_device
from unmask.core.network import Cache, Query
from unmask.errors import CanvasError

Run = Callable[[Query, Cache | None], tuple[Tensor, Cache | None]]


def by_length(
    run: Run, query: Query, cache: Cache | None, per_token: Collection[str] = ()
) -> tuple[Tensor, Cache | None]:
    """Run rows of each length apart, without padding; hidden states (R,N,D) are 0 at padding.

    per_token: entries of a condition that are cut as the rows are.
    Raises CanvasError for padding that is not at the end of a row.
    """
    _check_ends(query)
    length = query.tokens.shape[1]
    out: Tensor | None = None
    caches: Cache | None = None
    for n in np.unique(query.lengths[query.lengths > 0]).tolist():
        rows = np.flatnonzero(query.lengths == n)
        part = _cut(query, rows, n, per_token)
        kept = None if cache is None else cache.take(rows).resize(n)
        hidden, after = run(part, kept)
        if out is None:
            out = hidden.new_zeros((*query.tokens.shape, hidden.shape[-1]))
            caches = None if after is None else after.resize(length).blank(len(query.tokens))
        out[to_device(rows, out.device), :n] = hidden
        if after is not None and caches is not None:
            caches = caches.put(rows, after.resize(length))
    assert out is not None
    return out, caches


def _cut(query: Query, rows: np.ndarray, length: int, per_token: Collection[str]) -> Query:
    """Return these rows, of one length, with what their condition says of each token or pair."""
    width = query.tokens.shape[1]

    def cut(leaf: Any) -> Any:
        if leaf.dim() > 2 and leaf.shape[-2:] == (width, width):
            return leaf[..., :length, :length]
        return leaf[:, :length]

    part = query.take(rows, length)
    if not isinstance(part.condition, dict):
        return part
    own = {n: tree_map(cut, part.condition[n]) for n in per_token if n in part.condition}
    return replace(part, condition={**part.condition, **own})


def _check_ends(query: Query) -> None:
    """Raise CanvasError unless padding stands at the end of each row."""
    device = query.tokens.device
    place = torch.arange(query.tokens.shape[1], device=device)
    if not torch.equal(place < to_device(query.lengths, device).unsqueeze(1), query.valid):
        raise CanvasError(
            "padding is not at the end of a row, and the network is changed by it: move padding "
            "to the end, as Canvas.ragged does"
        )
