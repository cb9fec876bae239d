"""Decoding block by block without passing finished blocks through the network again.

Shapes: B rows, N positions in blocks of W, D width, M positions the head is asked for.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device
from unmask.core.checks import check_count
from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.errors import ModelError, StrategyError, nearest
from unmask.models.caching import KeyValueCache, Tally, Turn, pass_through, try_cache
from unmask.models.decoder import Decoder
from unmask.models.forwarding import Forwarding

Reuse = Literal["prefix", "dual"]
"""What is reused within a block: all before it, or all before and behind it."""


class _Cached(Forwarding):
    """A `Decoder` through which only some positions pass at each step, the others being kept.

    block: W, the block that is open at a time. tally: what went through the network.
    """

    inner: Decoder

    def __init__(self, inner: Decoder, block: int):
        super().__init__(inner)
        try_cache(inner)
        self.block, self.tally = block, Tally()

    @property
    def spec(self) -> DenoiserSpec:
        """That of the decoder; hidden states mean nothing outside the open block."""
        return replace(
            self.inner.spec,
            block_size=self.block,
            open_block_only=True,
            cached=True,
            inputs=self.inner.spec.inputs | {"open_block"},
        )

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D), zeros where nothing was computed, and keys and values.

        A query without an open block is one pass of `inner` with nothing kept.
        """
        if query.open_block is None:
            return _uncached(self.inner, query, cache)
        tokens, valid = query.tokens, query.valid
        self.inner.check(tokens, query.condition)
        assert cache is None or isinstance(cache, KeyValueCache)
        block = torch.arange(tokens.shape[1], device=tokens.device) // self.block
        opened = to_device(query.open_block, tokens.device)
        turn, anew, count = self._turn(tokens, valid, block, opened, cache)
        states = {} if cache is None else cache.states
        order = self.inner.order(tokens.shape[1], tokens.device)
        hidden, states = pass_through(self.inner, tokens, order, turn, states, self.tally)
        hidden, edge = _shift(self.inner, hidden, cache, opened * self.block, anew)
        begun = np.ones(len(tokens), bool)
        return hidden, KeyValueCache(states, tokens, count, edge, begun)

    @abstractmethod
    def _turn(
        self,
        tokens: Tensor,
        valid: Tensor,
        block: Tensor,
        opened: Tensor,
        before: KeyValueCache | None,
    ) -> tuple[Turn, Tensor, Tensor]:
        """What this step does, given the block of each position (N,) and the open one (B,).

        With it, (B,) bool, the rows in which what stands before the open block passes, too; and
        (B,) int64, the `blocks` of what will be remembered.
        """


class BlockCache(_Cached):
    """A block-causal `Decoder` that keeps keys and values of finished blocks. Exact.

    What stands before a block never sees it (2503.09573), so states are those of `inner` up to
    rounding. The first step of a block passes its W positions and those that were finished since,
    any later step the W alone; a row's prompt passes once. A row in which a finished block has
    changed starts anew. Strategies go by `Groups.blocks(W)`.

    inner: `Decoder(net, mask_id, block=W)`. tally: what went through the network, only counted.
    Raises ModelError for a decoder without blocks, or one that remembers more than keys and values.
    """

    def __init__(self, inner: Decoder):
        _check_decoder(inner)
        if inner.block is None:
            raise ModelError(
                "in this decoder all see all, so that nothing is finished while anything changes: "
                "pass Decoder(net, mask_id, block=32) if it was trained so, or use ReusedCache, "
                "which is approximate"
            )
        super().__init__(inner, inner.block)

    def _turn(
        self,
        tokens: Tensor,
        valid: Tensor,
        block: Tensor,
        opened: Tensor,
        before: KeyValueCache | None,
    ) -> tuple[Turn, Tensor, Tensor]:
        done = torch.zeros_like(opened)
        if before is not None:
            done = self._still(before, tokens, valid, block, opened)
        later = block >= done.unsqueeze(1)
        asked = valid & later & (block <= opened.unsqueeze(1))
        turn = Turn(asked, valid & ~later, asked & (block < opened.unsqueeze(1)))
        return turn, done < opened, opened

    def _still(
        self, before: KeyValueCache, tokens: Tensor, valid: Tensor, block: Tensor, opened: Tensor
    ) -> Tensor:
        """(B,) int64: blocks remembered, none where one of them is not as it was."""
        remembered = valid & (block < before.blocks.unsqueeze(1))
        changed = (remembered & (tokens != before.tokens)).any(1)
        return before.blocks.masked_fill(changed | (opened < before.blocks), 0)


class ReusedCache(_Cached):
    """A `Decoder` in which all see all, with stale keys and values reused. APPROXIMATE.

    Fast-dLLM's caches (2505.22618): the first step of a block computes everything, its later steps
    reuse the keys and values of all before the block ("prefix"), or of all but the block ("dual").
    What they depend on changes meanwhile, so draws do not follow the model exactly: with one step a
    block, or one block, they do. Strategies go by `Groups.blocks(block)`.

    inner: `Decoder(net, mask_id)`, without blocks of its own. tally: what went through the network,
    only counted. Raises ModelError for another network, StrategyError for another kind of reuse.
    """

    def __init__(self, inner: Decoder, block: int = 32, reuse: Reuse = "prefix"):
        _check_decoder(inner)
        if inner.block is not None:
            raise ModelError(
                f"this decoder is block-causal: BlockCache(decoder) is exact, with blocks of "
                f"{inner.block}"
            )
        check_count("block", block)
        if reuse not in get_args(Reuse):
            raise StrategyError(f"reuse={reuse!r}: {nearest(str(reuse), get_args(Reuse))}")
        super().__init__(inner, block)
        self.reuse = reuse

    def extra_repr(self) -> str:
        """What is reused."""
        return f"approximate, block={self.block}, reuse={self.reuse!r}"

    def _turn(
        self,
        tokens: Tensor,
        valid: Tensor,
        block: Tensor,
        opened: Tensor,
        before: KeyValueCache | None,
    ) -> tuple[Turn, Tensor, Tensor]:
        first = torch.ones_like(opened, dtype=torch.bool)
        if before is not None:
            first = before.blocks != opened + 1
        here = opened.unsqueeze(1)
        aside = block < here if self.reuse == "prefix" else block != here
        reused = valid & aside & ~first.unsqueeze(1)
        asked = valid & ~reused
        return Turn(asked, reused, asked & first.unsqueeze(1)), first, opened + 1


def _check_decoder(inner: object) -> None:
    if not isinstance(inner, Decoder):
        raise ModelError(
            f"{type(inner).__name__} has no keys and values to keep: pass "
            "unmask.models.Decoder(net, mask_id, ...) around a transformers *ForCausalLM"
        )


def _uncached(inner: Decoder, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
    if cache is not None:
        raise StrategyError(
            "a cache that is not told which block is open cannot tell what is finished: pass "
            "open_block in the query"
        )
    return inner.forward(query, None)


def _shift(
    inner: Decoder, hidden: Tensor, before: KeyValueCache | None, begins: Tensor, computed: Tensor
) -> tuple[Tensor, Tensor]:
    """What `inner` makes of the trunk's states (B,N,D), and the one before the open block (B,D).

    begins (B,) int64: where the open block begins. computed (B,) bool: rows in which the position
    before it passed through the network just now; in others a logit shift reads what is remembered.
    """
    row = torch.arange(len(begins), device=begins.device)
    place = (begins - 1).clamp(min=0)
    edge = hidden[row, place]
    if before is not None:
        edge = edge.where((computed | (begins == 0)).unsqueeze(1), before.edge)
    if inner.logit_shift:
        hidden = inner.shift_logits(hidden.index_put((row, place), edge))
    return hidden, edge
