"""Rows of unequal length in passes of one length each, where padding would change them.

Shapes: R rows, N positions, D width; r rows of one length n.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_map_with_path

from unmask.core.arrays import to_device, waits
from unmask.core.network import Cache, Query
from unmask.errors import CanvasError

ELSEWHERE = re.compile("context_mask|encoder")  # masks of other positions than the rows'
Run = Callable[[Query, Cache | None], tuple[Tensor, Cache | None]]


def by_length(run: Run, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
    """Run rows of each length apart, without padding; hidden states (R,N,D) are 0 at padding.

    Raises CanvasError for padding that is not at the end of a row.
    """
    _check_ends(query)
    length = query.tokens.shape[1]
    out: Tensor | None = None
    caches: Cache | None = None
    for n in np.unique(query.lengths).tolist():
        rows = np.flatnonzero(query.lengths == n)
        part = _cut(query, rows, n)
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


def _cut(query: Query, rows: np.ndarray, length: int) -> Query:
    """Return these rows, of one length, with what their condition says of each token, or of pairs.

    Cross-attention has positions of its own, which may be as many.
    """
    width = query.tokens.shape[1]

    def cut(path: tuple[Any, ...], leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or ELSEWHERE.search(keystr(path)):
            return leaf
        if leaf.dim() == 2 and leaf.shape[1] == width:
            return leaf[:, :length]
        pairs = leaf.dim() == 4 and leaf.shape[-2:] == (width, width)
        return leaf[..., :length, :length] if pairs else leaf

    part = query.take(rows, length)
    return replace(part, condition=tree_map_with_path(cut, part.condition))


def _check_ends(query: Query) -> None:
    """Raise CanvasError unless padding stands at the end of each row."""
    device = query.tokens.device
    if waits(device):
        return
    place = torch.arange(query.tokens.shape[1], device=device)
    if not torch.equal(place < to_device(query.lengths, device).unsqueeze(1), query.valid):
        raise CanvasError(
            "padding is not at the end of a row, and the network is changed by it: move padding "
            "to the end, as Canvas.ragged does"
        )
