"""A network as the engine sees it: what is known of it, what it is asked, what it keeps.

Shapes: R rows of a query, N positions, D width, M positions the head is asked for, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unmask.core.calls import check_calls
from unmask.core.checks import check_count, check_flag, is_integer
from unmask.core.ids import as_ids, check_forbidden
from unmask.core.projection import Projection
from unmask.core.trees import tree_concat, tree_take, widen
from unmask.errors import ModelError, StrategyError, UnmaskError, nearest

INPUTS = frozenset({"masked", "progress", "open_block"})
"""What a query may carry beside tokens."""
ORIGINS = ("start", "prompt")  # where the first block begins
_FLAGS = ("open_block_only", "two_streams", "supports_trimming", "cached", "observes")


@dataclass(frozen=True)
class DenoiserSpec:
    """Everything the engine may know of a network. Wrappers say `replace(inner.spec, ...)`.

    vocab_size: V. mask_id: the id shown at unknown positions, None where there is none.
    forbidden: further ids that are never data. default_length: the N of `generate` when none is
    asked for; max_length: the most positions the network takes, None where unlimited.
    forwards_per_call: network passes that one `forward` costs.
    inputs: what a query must carry beside tokens: "masked", "progress", "open_block". The last
    needs block_size.
    block_size: W where attention is block-causal with blocks of W. block_origin: where the first
    begins, at "start", position 0, or behind the "prompt", at the first position to generate.
    Unless it is cached, a network with blocks from the start that supports_trimming is not shown
    the blocks behind the last that a step asks for.
    open_block_only: hidden states mean nothing outside the open block, so strategies go by blocks
    of `block_size`.
    two_streams: a query may carry `clean`, the tokens that a block sees of those before it. Needs
    block_size, and blocks from the start.
    supports_trimming: padding is invisible, so rows may be cut to their length.
    cached: `forward` returns a cache, which the next step hands back. observes: the logits that
    tokens are drawn from are fed back at the next step (`Observer`).
    recommended: the preset that the model's card recommends, by name with its options, as in
    {"name": "maskgit", "steps": 12}. grid: height and width, where the card says that positions
    form a grid. end_id: the id that ends a row, where the card says that training showed one;
    other_ends: further ones.
    reserved: ids that are not drawn unless a strategy is chosen: special tokens of a tokenizer, and
    bytes that the training data had nowhere.
    Raises ModelError for numbers that are none, ids outside the vocabulary, and inputs that do
    not exist.
    """

    vocab_size: int
    mask_id: int | None = None
    forbidden: tuple[int, ...] = ()
    default_length: int | None = None
    max_length: int | None = None
    forwards_per_call: int = 1
    inputs: frozenset[str] = frozenset()
    block_size: int | None = None
    block_origin: str = "start"
    open_block_only: bool = False
    two_streams: bool = False
    supports_trimming: bool = False
    cached: bool = False
    observes: bool = False
    recommended: Mapping[str, Any] | None = field(default=None, compare=False)
    grid: tuple[int, int] | None = field(default=None, compare=False)
    end_id: int | None = field(default=None, compare=False)
    other_ends: tuple[int, ...] = field(default=(), compare=False)
    reserved: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        optional = ("default_length", "max_length", "block_size")
        given = [name for name in optional if getattr(self, name) is not None]
        for name in ("vocab_size", "forwards_per_call", *given):
            check_count(name, getattr(self, name), ModelError)
        for name in _FLAGS:
            check_flag(name, getattr(self, name), ModelError)
        if self.block_origin not in ORIGINS:
            raise ModelError(f"block_origin={self.block_origin!r}: pass one of {ORIGINS}")
        if self.mask_id is not None and not is_integer(self.mask_id):
            raise ModelError(f"mask_id={self.mask_id!r}: pass an integer id")
        object.__setattr__(self, "forbidden", as_ids("forbidden", self.forbidden, ModelError))
        if self.mask_id is not None and not 0 <= self.mask_id < self.vocab_size:
            raise ModelError(
                f"mask_id={self.mask_id} is outside the vocabulary of {self.vocab_size}: pass an "
                f"id from 0 to {self.vocab_size - 1}"
            )
        check_forbidden(self.forbidden, self.vocab_size, ModelError)
        object.__setattr__(self, "inputs", frozenset(self.inputs))
        for name in sorted(self.inputs - INPUTS):
            raise ModelError(f"inputs has {name!r}: {nearest(name, INPUTS)}")
        if "open_block" in self.inputs and self.block_size is None:
            raise ModelError(
                "inputs has 'open_block', the number of a block, and block_size is None: pass "
                "block_size, the positions of a block"
            )
        if self.two_streams and (self.block_size is None or self.block_origin != "start"):
            raise ModelError(
                f"two_streams=True with block_size={self.block_size} from the {self.block_origin}: "
                "pass block_size, the positions of a block, counted from the start"
            )


@dataclass(frozen=True)
class Query:
    """The input of the network: R rows, each padded on the right."""

    tokens: Tensor  # (R,N) int64, with the mask id (or noise) where unknown
    valid: Tensor  # (R,N) bool: not padding
    lengths: np.ndarray  # (R,) int64, on the host: positions before the padding
    condition: Any = None  # tree of tensors whose first dimension is R
    masked: Tensor | None = None  # (R,N) bool: unknown; where the network's inputs have "masked"
    progress: Tensor | None = None  # (R,) float64: r = s/T; where its inputs have "progress"
    unknown_share: Tensor | None = None  # (R,) float64: share of the open group still unknown
    open_block: np.ndarray | None = None  # (R,) int64, on the host; where its inputs have it
    open_start: np.ndarray | None = None  # (R,) int64, the same: its first position
    reach: np.ndarray | None = None  # (R,) int64, on the host: answers are read before it; None: N
    seed: Tensor | None = None  # (R,) int64: of the examples; of objectives alone
    clean: Tensor | None = None  # (R,N) int64: what blocks see of those before them; None: tokens
    padded: bool = field(init=False)  # whether some row is shorter than N

    def __post_init__(self) -> None:
        padded = bool((self.lengths < self.tokens.shape[1]).any())
        object.__setattr__(self, "padded", padded)

    @classmethod
    def of(cls, tokens: Tensor, valid: Tensor | None = None, condition: Any = None) -> Query:
        """A query of tokens (R,N), with padding where valid (R,N) bool is False."""
        if valid is None:
            lengths = np.full(len(tokens), tokens.shape[1])
            return cls(tokens, torch.ones_like(tokens, dtype=torch.bool), lengths, condition)
        return cls(tokens, valid, valid.sum(1).cpu().numpy(), condition)

    def with_inputs(self, inputs: frozenset[str], masked: Tensor, editable: Tensor) -> Query:
        """The query with the "masked" and "progress" that a network's inputs ask for.

        masked, editable (R,N) bool: positions that are unknown, of those to generate. The progress
        is that of a generation of many steps: the share of the editable positions that is known.
        """
        if not inputs:
            return self
        share = masked.sum(1).double() / editable.sum(1).clamp(min=1)
        timed = "progress" in inputs
        return replace(
            self,
            masked=masked if "masked" in inputs else None,
            progress=1 - share if timed else None,
            unknown_share=share if timed else None,
        )

    def take(self, rows: np.ndarray, width: int | None = None) -> Query:
        """These rows (b,) alone, in this order, cut to `width` positions."""
        index = torch.from_numpy(rows).to(self.tokens.device)
        every = np.array_equal(rows, np.arange(len(self.lengths)))

        def taken(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return value[rows]
            part = value if every else value.index_select(0, index)
            return part if part.dim() == 1 else part[:, :width].contiguous()

        named: dict[str, Any] = {
            name: taken(value) for name in _OF_ROWS if (value := getattr(self, name)) is not None
        }
        named["lengths"] = np.minimum(named["lengths"], named["tokens"].shape[1])
        condition = self.condition if every else tree_take(self.condition, index)
        return replace(self, **named, condition=condition)

    @staticmethod
    def concat(queries: Sequence[Query]) -> Query:
        """The rows of all queries, which have the same inputs, padded to the widest."""
        width = max(query.tokens.shape[1] for query in queries)

        def joined(values: Sequence[Any]) -> Any:
            if isinstance(values[0], np.ndarray):
                return np.concatenate(values)
            wide = values if values[0].dim() == 1 else [widen(each, width) for each in values]
            return torch.cat(list(wide))

        named: dict[str, Any] = {
            name: joined([getattr(query, name) for query in queries])
            for name in _OF_ROWS
            if getattr(queries[0], name) is not None
        }
        return Query(**named, condition=tree_concat([query.condition for query in queries]))


_OF_ROWS = (
    "tokens", "valid", "lengths", "masked", "progress", "unknown_share", "open_block",
    "open_start", "reach", "seed", "clean",
)  # fmt: skip


CacheType = TypeVar("CacheType", bound="Cache")


class Cache(Protocol):
    """Values that a network keeps of each row from step to step, once the row has begun."""

    @property
    def begun(self) -> np.ndarray:
        """(R,) bool, on the host: rows of which something is kept."""

    def take(self: CacheType, rows: np.ndarray) -> CacheType:
        """The cache of these rows alone, in this order."""

    def put(self: CacheType, rows: np.ndarray, part: CacheType) -> CacheType:
        """This cache with `rows` replaced by those of `part`."""

    def resize(self: CacheType, length: int) -> CacheType:
        """The cache for rows of `length` positions: cut, or with room at the end."""

    def blank(self: CacheType, rows: int) -> CacheType:
        """A cache of the same form for so many rows that have not begun."""

    def concat(self: CacheType, others: Sequence[CacheType]) -> CacheType:
        """The rows of this cache, then those of the others, all of one length."""


@runtime_checkable
class Denoiser(Protocol):
    """A masked network, split into a trunk and a head so that the head runs only where asked."""

    @property
    def spec(self) -> DenoiserSpec:
        """Everything that the engine may know of the network."""

    @property
    def device(self) -> torch.device | None:
        """Device of its parameters; None where it has none, and runs where the tokens are."""

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """One pass of the trunk: hidden states (R,N,D), and what is kept for the next step."""

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V), for the rows asked for only. The caller may write to the result."""

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` is the product of, None where the head ends in anything else.

        With it a kernel can do without logits in memory.
        """


class Observer(Denoiser, Protocol):
    """A denoiser that is fed back the logits of a step at the next one: its spec `observes`."""

    def observe(self, logits: Tensor) -> Tensor:
        """(m,V) float32 -> (m,K): what is kept of logits, divided by the temperature.

        Called with the logits of one chunk at a time; it may not write to them.
        """

    def feed_back(self, cache: Cache, observed: Tensor) -> Cache:
        """Return the cache with what `observe` returned, (R,N,K), zeros where it was not called."""


def check_denoiser(value: object, error: type[UnmaskError] = StrategyError) -> None:
    """Raise this error unless the value is a denoiser."""
    if isinstance(value, str | PathLike):
        raise error(
            f"{str(value)!r} is the name of a network: load it first, as in "
            f"unmask.load({str(value)!r})"
        )
    if isinstance(value, type):
        raise error(f"the class {value.__name__} is not a denoiser: make one of it first")
    if not isinstance(value, Denoiser):
        raise error(
            f"{type(value).__name__} is not a denoiser: wrap it first, as in "
            "unmask.wrap(net, mask_id=17)"
        )


@runtime_checkable
class Critic(Protocol):
    """Judges a filled canvas: (B,N) ids -> (B,N) logits that a token is *wrong* (2209.04439)."""

    def __call__(self, tokens: Tensor, *, valid: Tensor, condition: Any) -> Tensor: ...


check_calls(__name__, "DenoiserSpec")
