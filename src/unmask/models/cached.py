"""Decoding block by block without computing finished blocks again.

Shapes: B rows, N positions in blocks of W, D width, M positions queried.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import on_host, to_device
from unmask.core.checks import check_choice, check_count
from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.errors import ModelError, StrategyError
from unmask.models.caching import (
    KeyValueCache,
    Tally,
    Turn,
    pass_through,
    try_cache,
    unchanged,
)
from unmask.models.decoder import Decoder
from unmask.models.forwarding import Forwarding

_INPUTS = frozenset({"open_block"})
Reuse = Literal["prefix", "dual"]
"""The positions whose keys and values are reused: all before the block, or also all after it."""
Plan = tuple[Turn, np.ndarray, np.ndarray]
"""What a step computes; (B,) bool, the rows in which that begins before the open block; and (B,)
int64, the `blocks` of the cache after it. On the host."""


class _Cached(Forwarding):
    """A `Decoder` that computes only some positions at each step, with a cache of the others.

    block: W, positions of a block. tally: the passes made and positions computed.
    """

    inner: Decoder
    block: int

    def __init__(self, inner: Decoder):
        if not isinstance(inner, Decoder):
            raise ModelError(
                f"{type(inner).__name__} has no keys and values to cache: pass "
                "unmask.models.Decoder(net, mask_id, ...) around a transformers *ForCausalLM"
            )
        super().__init__(inner)
        self.tally = Tally()
        self._specs: tuple[DenoiserSpec, DenoiserSpec] | None = None

    @property
    def spec(self) -> DenoiserSpec:
        """The decoder's spec; hidden states are valid in the open block only."""
        given = self.inner.spec
        if self._specs is None or self._specs[0] is not given:
            known: dict[str, Any] = {"block_size": self.block, "inputs": given.inputs | _INPUTS}
            self._specs = given, replace(given, **known, open_block_only=True, cached=True)
        return self._specs[1]

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D), zeros where not computed, and the keys and values.

        A query without an open block is one pass of `inner` without a cache.
        """
        if query.open_block is None and cache is not None:
            raise StrategyError(
                "the query has a cache and no open_block, so finished blocks are unknown: pass "
                "Query(..., open_block=...), (R,) int64"
            )
        if query.open_block is None:
            return self.inner.forward(query, None)
        tokens = query.tokens
        self.inner.check(tokens, query.condition)
        assert cache is None or isinstance(cache, KeyValueCache)
        turn, anew, count = self._plan(query, query.open_block, cache)
        states = {} if cache is None else cache.states
        order = self.inner.order(tokens.shape[1], tokens.device)
        options = (order, turn, states, self.tally, self.inner.block)
        hidden, states = pass_through(self.inner, tokens, *options)
        hidden, edge = _shift(self.inner, hidden, cache, query.open_block * self.block, anew)
        blocks = to_device(count, tokens.device)
        return hidden, KeyValueCache(np.ones(len(tokens), bool), states, tokens, blocks, edge)

    @abstractmethod
    def _plan(self, query: Query, opened: np.ndarray, before: KeyValueCache | None) -> Plan:
        """Return what to compute, given the open block of each row (B,) int64."""


class BlockCache(_Cached):
    """A block-causal `Decoder` that keeps keys and values of finished blocks. Exact.

    Positions never attend to later blocks (2503.09573), so hidden states are those of `inner` up to
    rounding. The first step of a block computes its W positions and those finished since the block
    before began, later steps the W alone; a row's prompt is computed once. If a finished block has
    changed, its row is computed anew. Strategies must have the groups `Groups.blocks(W)`.

    inner: `Decoder(net, mask_id, block=W)`. tally: the passes made and positions computed.
    Raises ModelError for a decoder without blocks, or with memory beside keys and values.
    """

    def __init__(self, inner: Decoder):
        super().__init__(inner)
        if inner.block is None:
            raise ModelError(
                "this decoder has bidirectional attention, so every new token changes all keys and "
                "values: pass Decoder(net, mask_id, block=32) if it was trained with blocks, or "
                "use ReusedCache, which is approximate"
            )
        self.block = inner.block
        try_cache(inner)

    def _plan(self, query: Query, opened: np.ndarray, before: KeyValueCache | None) -> Plan:
        begin = np.zeros_like(opened)
        if before is not None:
            begin = unchanged(before.blocks * self.block, before.tokens, query.tokens)
        here = opened * self.block
        begin[here < begin] = 0
        end = np.minimum(here + self.block, query.lengths)
        return Turn(begin, end, end, here), begin < here, opened


class ReusedCache(_Cached):
    """A bidirectional `Decoder` that reuses old keys and values. APPROXIMATE.

    Fast-dLLM's caches (2505.22618): the first step of a block computes all positions; later steps
    reuse the keys and values of all before the block ("prefix"), or of all but the block ("dual").
    These depend on tokens that change meanwhile, so draws do not follow the model exactly, except
    with one step a block, or one block. Strategies must have the groups `Groups.blocks(block)`.

    inner: `Decoder(net, mask_id)`, without blocks. block: positions of a block. tally: the passes
    made and positions computed. Raises ModelError for another network, StrategyError for another
    kind of reuse.
    """

    def __init__(self, inner: Decoder, block: int = 32, reuse: Reuse = "prefix"):
        super().__init__(inner)
        if inner.block is not None:
            raise ModelError(
                f"this decoder is block-causal: BlockCache(decoder) is exact, with blocks of "
                f"{inner.block}"
            )
        check_count("block", block)
        check_choice("reuse", reuse, get_args(Reuse))
        self.block, self.reuse = block, reuse
        try_cache(inner)

    def extra_repr(self) -> str:
        """Return the block and the kind of reuse."""
        return f"approximate, block={self.block}, reuse={self.reuse!r}"

    def _plan(self, query: Query, opened: np.ndarray, before: KeyValueCache | None) -> Plan:
        length, first = query.lengths, np.ones(len(opened), bool)
        if before is not None:
            first = on_host(before.blocks) != opened + 1
        begin, end = opened * self.block, length
        if self.reuse == "dual":
            end = np.minimum(begin + self.block, length)
        begin, end = np.where(first, 0, begin), np.where(first, length, end)
        return Turn(begin, end, length, np.where(first, length, 0)), first, opened + 1


def _shift(
    inner: Decoder,
    hidden: Tensor,
    before: KeyValueCache | None,
    begins: np.ndarray,
    computed: np.ndarray,
) -> tuple[Tensor, Tensor]:
    """Return the hidden states (B,N,D) after a logit shift, and the one before the block (B,D).

    Without a shift nothing reads the latter, which then has no channels.
    begins (B,) int64: the first position of the open block. computed (B,) bool: rows in which the
    position before it was computed in this step; in others a logit shift reads the cached state.
    """
    if not inner.logit_shift:
        return hidden, hidden.new_empty(len(hidden), 0)
    row = torch.arange(len(hidden), device=hidden.device)
    place = to_device(np.maximum(begins - 1, 0), hidden.device)
    edge = hidden[row, place]
    if before is not None:
        own = to_device(computed | (begins == 0), hidden.device)
        edge = edge.where(own.unsqueeze(1), before.edge)
    return inner.shift_logits(hidden.index_put((row, place), edge)), edge
