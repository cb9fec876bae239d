"""Passes of the trunk: rows of about one length together, of one query or of several.

Shapes: R rows, N positions, D width; r rows of one pass, n positions of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn.functional import pad
from torch.utils._pytree import tree_flatten

from unmask.core.arrays import to_device, waits
from unmask.core.inference import is_out_of_memory, likeness
from unmask.core.network import Cache, Denoiser, DenoiserSpec, Query
from unmask.core.trees import tree_form
from unmask.errors import DenoiserError, LogitsError, ModelError, UnmaskError

PADDING = 0.1  # the share of positions passed through the trunk that may be padding
Result = tuple[Tensor, Cache | None]
"""Hidden states (R,N,D) of a query, and what its rows keep for the next step."""
Pass = tuple[np.ndarray, int]
"""Rows (r,) of a query, and how many positions of each are passed."""


def forward(denoiser: Denoiser, query: Query, cache: Cache | None = None) -> Result:
    """Pass one query through the trunk, without much padding where the network allows it."""
    if denoiser.spec.cached:
        return _checked(denoiser, query, cache)
    return _shared(denoiser, [query])[0], None


def forward_all(
    denoiser: Denoiser,
    queries: Sequence[Query],
    caches: Sequence[Cache | None],
    max_tokens: int | None = None,
) -> list[Result]:
    """Pass queries through the trunk in as few passes as keep padding below a tenth.

    Rows of several queries share passes where the spec of the network allows it; a pass has
    at most max_tokens positions, or one row. Zeros stand at padding where rows were cut to length.
    """
    if denoiser.spec.cached:
        return [_checked(denoiser, *each) for each in zip(queries, caches, strict=True)]
    kinds: dict[object, list[int]] = {}
    for i, query in enumerate(queries):
        kind = _kind(denoiser, query) if len(queries) > 1 else None
        kinds.setdefault(kind, []).append(i)
    hidden: dict[int, Tensor] = {}
    for members in kinds.values():
        some = [queries[i] for i in members]
        hidden |= zip(members, _shared(denoiser, some, max_tokens), strict=True)
    return [(hidden[i], None) for i in range(len(queries))]


def _kind(denoiser: Denoiser, query: Query) -> object:
    """A value that queries of one pass have in common: the form of conditions, and the width."""
    width = None if denoiser.spec.supports_trimming and _by_row(query) else query.tokens.shape[1]
    return (tree_form(query.condition), width)


def _by_row(query: Query) -> bool:
    """Whether the condition says nothing of single positions, so that rows may be cut."""
    leaves = tree_flatten(query.condition)[0]  # None is a leaf, too
    return all(leaf is None or (isinstance(leaf, Tensor) and leaf.dim() == 1) for leaf in leaves)


def _shared(
    denoiser: Denoiser, queries: Sequence[Query], max_tokens: int | None = None
) -> list[Tensor]:
    """Hidden states of queries that may share passes."""
    query = queries[0] if len(queries) == 1 else Query.concat(queries)
    passes = _passes(denoiser, query, max_tokens)
    if len(passes) == 1 and passes[0][1] == query.tokens.shape[1]:
        hidden, _ = _checked(denoiser, query)
    else:
        hidden = _in_parts(denoiser, query, passes)
    if len(queries) == 1:
        return [hidden]
    sizes = [len(each.tokens) for each in queries]
    parts = hidden.split(sizes)
    return [part[:, : q.tokens.shape[1]] for part, q in zip(parts, queries, strict=True)]


def _passes(denoiser: Denoiser, query: Query, max_tokens: int | None) -> list[Pass]:
    everything, lengths = np.arange(len(query.lengths)), needed(denoiser.spec, query)
    if (lengths < query.tokens.shape[1]).any():
        bounds = widths(lengths)
        narrowest = np.searchsorted(bounds, np.maximum(lengths, 1))
        passes = [(everything[narrowest == i], width) for i, width in enumerate(bounds)]
    else:
        passes = [(everything, query.tokens.shape[1])]
    if max_tokens is None:
        return passes
    parts = []
    for rows, width in passes:
        most = max(1, max_tokens // width)
        parts += [(rows[i : i + most], width) for i in range(0, len(rows), most)]
    return parts


def needed(spec: DenoiserSpec, query: Query) -> np.ndarray:
    """(R,) int64: how many positions of each row its answers depend on, the first ones.

    Those before the padding, where rows may be cut. Where attention is block-causal, those up to
    the end of the last block that is asked for, since no block depends on later ones.
    """
    if not spec.supports_trimming or not _by_row(query):
        return np.full_like(query.lengths, query.tokens.shape[1])
    if query.reach is None or spec.block_size is None or spec.block_origin != "start":
        return query.lengths
    ends: np.ndarray = np.minimum(
        -(-query.reach // spec.block_size) * spec.block_size, query.lengths
    )
    return ends


def widths(lengths: np.ndarray, padding: float = PADDING) -> list[int]:
    """Lengths (R,) -> the widths of the passes, ascending; each row is in the narrowest that fits.

    As few passes as merging the cheapest neighbours finds while the share of padding stays below.
    """
    least = np.maximum(lengths, 1)
    found, times = np.unique(least, return_counts=True)
    bounds: list[int] = found.tolist()
    counts: list[int] = times.tolist()
    needed = spent = int(least.sum())
    while len(bounds) > 1:
        added = [counts[i] * (bounds[i + 1] - bounds[i]) for i in range(len(bounds) - 1)]
        i = int(np.argmin(added))
        if spent + added[i] - needed >= padding * (spent + added[i]):
            break
        spent += added[i]
        moved = counts.pop(i)
        counts[i] += moved
        bounds.pop(i)
    return bounds


def _in_parts(denoiser: Denoiser, query: Query, passes: Sequence[Pass]) -> Tensor:
    out: Tensor | None = None
    for rows, width in passes:
        hidden, _ = _checked(denoiser, query.take(rows, width))
        if len(passes) == 1:
            return pad(hidden, (0, 0, 0, query.tokens.shape[1] - width))
        if out is None:
            out = hidden.new_zeros((*query.tokens.shape, *hidden.shape[2:]))
        out[:, :width].index_copy_(0, to_device(rows, hidden.device), hidden)
    assert out is not None
    return out


def _checked(denoiser: Denoiser, query: Query, cache: Cache | None = None) -> Result:
    """One pass. LogitsError for another shape; ModelError for a cache where none is declared."""
    hidden: object
    try:
        hidden, cache = denoiser.forward(query, cache)
    except (IndexError, RuntimeError) as error:
        if isinstance(error, UnmaskError) or is_out_of_memory(error):
            raise
        message = f"the network raised {type(error).__name__}: {error}{_limits(query.tokens)}"
        raise DenoiserError(message) from error
    shape = query.tokens.shape
    if not isinstance(hidden, Tensor) or (hidden.dim(), hidden.shape[:2]) != (3, shape):
        found = tuple(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
        raise LogitsError(
            f"the network returned shape {found} for tokens of shape {tuple(shape)}"
            f"{likeness(hidden, shape)}: return (B, N, vocabulary) logits"
        )
    if cache is not None and not denoiser.spec.cached:
        raise ModelError(
            f"{type(denoiser).__name__} returned a cache, and its spec says that it keeps none: "
            "give its DenoiserSpec cached=True, or return None"
        )
    return hidden, cache


def _limits(tokens: Tensor) -> str:
    """What a network may have too few of, where a pass has failed on the CPU."""
    if waits(tokens.device) or not tokens.numel():
        return ""
    low, high = map(int, tokens.aminmax())
    return (
        f"; it was shown ids {low} to {high} at {tokens.shape[1]} positions: if it knows fewer, "
        "pass shorter rows, or another mask_id to unmask.wrap"
    )
