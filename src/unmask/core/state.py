"""A generation while it runs: everything the next step needs, and nothing else.

Shapes: B rows, N positions, V vocabulary, G groups, P groups that run side by side (1 otherwise).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.core.alternatives import Alternatives
from unmask.core.arrays import arange, send, to_device, waits
from unmask.core.joining import NEUTRAL, check_joinable, concat_caches, fill_absent
from unmask.core.network import Cache, DenoiserSpec
from unmask.core.random import Purpose, uniform, uniforms
from unmask.core.rows import Rows, row_indices
from unmask.core.trees import concat_rows, take_rows, tree_concat, tree_put, tree_take, widen

STEP_PURPOSES = (
    Purpose.DRAW, Purpose.ORDER, Purpose.CHOICE, Purpose.REVEAL, Purpose.NOISE_IDS,
)  # fmt: skip
"""The purposes of the uniforms of a step."""

NEVER = -1
"""`commit_step` of a position that generation has not committed."""


class _Number:
    """One of a state's `numbers`, by the name of the attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, state: State | None, owner: type) -> Any:
        return self if state is None else state.numbers[self.name]


@dataclass(frozen=True)
class State:
    """B rows of one strategy. Data is on one device, one number a row on the host (`rows`)."""

    # canvas
    tokens: Tensor  # (B,N) int64: current ids; what stands at unknown positions means nothing
    masked: Tensor  # (B,N) bool: still unknown
    editable: Tensor  # (B,N) bool: generation may change it (not prompt, not padding)
    valid: Tensor  # (B,N) bool: not padding
    group: Tensor | None  # (B,N) int64: positions ranked together have one number; None for all
    # record
    logprob: Tensor  # (B,N) float32: log p(token) under the model when it was committed
    sampling_logprob: Tensor  # (B,N) float32: the same under the shaped distribution drawn from
    commit_step: Tensor  # (B,N) int64: step of the commit, NEVER where there was none
    fault: Tensor  # (B,) int64: 0, or what went wrong, where and when (`decoding.faults`)
    # control
    rows: Rows
    spec: DenoiserSpec
    exact_counts: bool = False  # the plan alone says how many are unknown after each step
    grows: bool = False  # the length of a row, its valid and editable positions, may change
    readings: int = 1  # rows of the network for each row: 2 where guidance reads it twice
    basis: Any = None  # what of its strategy the state was made by (`Strategy.basis`)
    # carried
    cache: Cache | None = None  # of B·readings rows
    carries: dict[str, Any] = field(default_factory=dict)  # histories of parts: (B,) or (B,N,...)
    condition: Any = None  # tree of tensors whose first dimension is B, handed to the network
    # of the canvas
    legal: Tensor | None = None  # (B,N,V) bool: ids that may be drawn
    required: Tensor | None = None  # (B,N) int64: the id to be drawn, −1 where free
    target: Tensor | None = None  # (B,N) int64: ids to commit in place of drawn ones (scoring)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.tokens.device

    @cached_property
    def numbers(self) -> dict[str, Tensor]:
        """The numbers of `rows` that a step may need on the device, sent in one copy."""
        rows = self.rows
        named = {"seed": rows.seed, "step": rows.step, "open_group": rows.open_group}
        if self.grows:
            named |= {"length": rows.length, "most": rows.most, "first": rows.first}
        return send(named | rows.now._asdict(), self.device)

    # of `numbers`
    seed = _Number()  # (B,) int64
    step = _Number()  # (B,) int64: steps taken
    progress = _Number()  # (B,) float64: r = s/T of the step being taken, within the open group
    group_step = _Number()  # (B,) int64: s, the step being taken, counted from 1
    group_steps = _Number()  # (B,) int64: T, the steps of the open group
    remaining = _Number()  # (B,P) int64: positions that the plan leaves unknown after the step
    is_final_step = _Number()  # (B,) bool: the step is the row's last, and leaves nothing unknown

    # of those that grow
    length = _Number()  # (B,) int64: positions before those that are not there yet
    most = _Number()  # (B,) int64: positions that there may be
    first = _Number()  # (B,) int64: the first position to generate

    def uniform(self, purpose: Purpose) -> Tensor:
        """(B,N) float64 in (0, 1), a function of (row seed, step, position, purpose)."""
        if waits(self.device):
            return self._uniforms[STEP_PURPOSES.index(purpose), ..., 0]
        seed, step = self.rows.seed[:, None], self.rows.step[:, None]
        position = np.arange(self.tokens.shape[1])
        return uniform(seed, step, position, purpose, count=1)[..., 0]

    def uniforms_at(
        self, row: Tensor | np.ndarray, position: Tensor | np.ndarray, purpose: Purpose
    ) -> Tensor:
        """(M,2) float64 in (0, 1) at rows and positions (M,); those of `uniform`, and as many more.

        row, position: int64, on the device, or on the host as arrays where that is the device.
        """
        if isinstance(row, np.ndarray):
            return uniform(self.rows.seed[row], self.rows.step[row], position, purpose)
        return self._uniforms[STEP_PURPOSES.index(purpose), row, position]

    @cached_property
    def _uniforms(self) -> Tensor:
        """(P,B,N,2) float64: all uniforms of the step being taken, in one launch."""
        position = arange(self.tokens.shape[1], self.device)
        return uniforms(self.seed[:, None], self.step[:, None], position, STEP_PURPOSES)

    @property
    def sequential(self) -> bool:
        """Whether groups open one after the other, so that only some positions are open."""
        return self.group is not None and not self.rows.plan.side_by_side

    @cached_property
    def open(self) -> Tensor:
        """(B,N) bool: the open group; everything where there are none, or they run side by side."""
        if not self.sequential:
            return torch.ones_like(self.masked)
        assert self.group is not None
        return self.group == self.numbers["open_group"].unsqueeze(1)

    def within_open(self, where: Tensor) -> Tensor:
        """(B,N) bool: of `where`, what is in the open group."""
        return where & self.open if self.sequential else where

    def take(self, rows: np.ndarray | Sequence[int] | Tensor) -> State:
        """The state of these rows alone, in this order. rows (b,) int64, or (B,) bool."""
        chosen = row_indices(rows, len(self))
        if len(chosen) == len(self) and np.array_equal(chosen, np.arange(len(self))):
            return self
        index = to_device(chosen, self.device)
        named: dict[str, Any] = {
            name: take_rows(value, index)
            for name in _TENSORS
            if (value := getattr(self, name)) is not None
        }
        cache = None if self.cache is None else self.cache.take(self._read(chosen))
        return replace(
            self,
            **named,
            rows=self.rows.take(chosen),
            cache=cache,
            carries=tree_take(self.carries, index),
            condition=tree_take(self.condition, index),
        )

    def put(self, rows: np.ndarray | Sequence[int] | Tensor, part: State) -> State:
        """This state with `rows` replaced by `part`, the result of stepping `take(rows)`."""
        chosen = row_indices(rows, len(self))
        if len(chosen) == len(self) and np.array_equal(chosen, np.arange(len(self))):
            return part
        index = to_device(chosen, self.device)
        written = (*_WRITTEN, *_LENGTHS) if self.grows else _WRITTEN
        named = {
            name: getattr(self, name).index_copy(0, index, getattr(part, name)) for name in written
        }
        cache = self.cache
        if part.cache is not None:
            whole = part.cache.blank(len(self) * self.readings) if cache is None else cache
            cache = whole.put(self._read(chosen), part.cache)
        return replace(
            self,
            **named,
            rows=self.rows.put(chosen, part.rows),
            cache=cache,
            carries=tree_put(self.carries, index, part.carries),
        )

    def without_cache(self, rows: np.ndarray) -> State:
        """The state in which nothing is kept by the network of these rows (b,): they begin anew."""
        if self.cache is None:
            return self
        cache = self.cache.put(self._read(rows), self.cache.blank(len(rows) * self.readings))
        return replace(self, cache=cache)

    def resize(self, length: int) -> State:
        """The state for rows of `length` positions: cut, or with padding at the end."""
        if length == self.tokens.shape[1]:
            return self
        named: dict[str, Any] = {
            name: widen(value, length, _FILL.get(name, 0))
            for name in _GRIDS
            if (value := getattr(self, name)) is not None
        }

        def wide(leaf: Tensor) -> Tensor:
            return widen(leaf, length) if leaf.dim() > 1 else leaf

        carries = tree_map(wide, self.carries)
        cache = None if self.cache is None else self.cache.resize(length)
        return replace(self, **named, carries=carries, cache=cache)

    @staticmethod
    def concat(states: Sequence[State]) -> State:
        """The rows of all states, which are of one equal strategy and network, as one.

        Shorter rows are padded on the right. Each row goes on as it would have alone. Raises
        CanvasError for conditions of several forms, StrategyError for what else cannot be joined.
        """
        check_joinable(states)
        if len(states) == 1:
            return states[0]
        length = max(state.tokens.shape[1] for state in states)
        wide = [state.resize(length) for state in fill_absent(states)]
        first: State = wide[0]
        named: dict[str, Any] = {
            name: concat_rows([getattr(state, name) for state in wide])
            for name in _TENSORS
            if getattr(first, name) is not None
        }
        return replace(
            first,
            **named,
            rows=Rows.concat([state.rows for state in wide]),
            exact_counts=all(state.exact_counts for state in wide),
            cache=concat_caches(wide),
            carries=tree_concat([state.carries for state in wide]),
            condition=tree_concat([state.condition for state in wide]),
        )

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """The network's rows for these rows: each is followed by its further readings."""
        if self.readings == 1:
            return rows
        return (rows[:, None] * self.readings + np.arange(self.readings)).ravel()


_GRIDS = (
    "tokens", "masked", "editable", "valid", "group", "logprob", "sampling_logprob", "commit_step",
    "legal", "required", "target",
)  # fmt: skip
_TENSORS = (*_GRIDS, "fault")
# What a step may change.
_WRITTEN = ("tokens", "masked", "logprob", "sampling_logprob", "commit_step", "fault")
_LENGTHS = ("valid", "editable")  # where rows grow
_FILL = {"commit_step": NEVER, **NEUTRAL}


@dataclass(frozen=True)
class Proposal:
    """The head's result at the queried positions, dense over the canvas. Float32.

    A committed position that is queried proposes the token it holds. The optional statistics are
    there when a part of the strategy declares that it `needs` them, by these names.
    """

    queried: Tensor  # (B,N) bool: where the fields below mean anything
    token: Tensor  # (B,N) int64
    logprob: Tensor  # (B,N): log p(token) under the model, illegal ids removed, temperature 1
    sampling_logprob: Tensor  # (B,N): log p(token) under the shaped distribution
    kept_logprob: Tensor | None = None  # (B,N): after top-k, top-p and min-p, temperature 1
    top_logprob: Tensor | None = None  # (B,N): log of the largest probability
    top_token: Tensor | None = None  # (B,N) int64: the likeliest id
    margin: Tensor | None = None  # (B,N): largest probability minus the second largest
    gap: Tensor | None = None  # (B,N): largest logit minus the second, inf where one id is legal
    entropy: Tensor | None = None  # (B,N): nats
    kept_margin: Tensor | None = None  # (B,N): margin after top-k, top-p and min-p, temperature 1
    kept_entropy: Tensor | None = None  # (B,N): entropy of the same
    sampling_entropy: Tensor | None = None  # (B,N): nats, of what is drawn from; 0 if greedy
    noised_logprob: Tensor | None = None  # (B,N): log-softmax of logits + temperature·Gumbel
    alternatives: Alternatives | None = None  # where `Strategy.alternatives` asks for some
    history: Any = None  # (`core.history`) with this step's distributions: the need "divergence"
    fault: Tensor | None = None  # (B,) int64: 0, or what is wrong with the logits of a row
    observed: Tensor | None = None  # (B,N,K): of each position, for a network that `observes`


@dataclass(frozen=True)
class Change:
    """The change of a step. All (B,N) bool, no two at one position; None is nowhere."""

    commit: Tensor  # unknown before, known after
    remask: Tensor | None = None  # known before, unknown after
    edit: Tensor | None = None  # known before, another token after: the likeliest one
    forwards: np.ndarray | int = 0  # (B,) int64: network passes that finding this out took


@dataclass(frozen=True)
class StepInfo:
    """The record of one step. Fields cover the rows that were open, `rows` (b,).

    Where rows grow, `change` is at the positions of the state after the step, `proposal` and
    `score` are at those before it.
    """

    state: State  # all rows, after the step
    rows: np.ndarray  # (b,) int64: indices in the state of the rows that this step advanced
    proposal: Proposal
    score: Tensor  # (b,N) float32: higher was committed sooner; -inf where not eligible
    change: Change

    @property
    def committed(self) -> Tensor:
        """(b,N) bool: positions that became known."""
        return self.change.commit

    @property
    def remasked(self) -> Tensor:
        """(b,N) bool: positions that became unknown."""
        remask = self.change.remask
        return torch.zeros_like(self.change.commit) if remask is None else remask

    @property
    def edited(self) -> Tensor:
        """(b,N) bool: positions at which another token was put."""
        edit = self.change.edit
        return torch.zeros_like(self.change.commit) if edit is None else edit

    @property
    def tokens(self) -> Tensor:
        """(B,N) int64 ids after the step; meaningless where `masked`."""
        return self.state.tokens

    @property
    def masked(self) -> Tensor:
        """(B,N) bool: still unknown after the step."""
        return self.state.masked

    @property
    def step(self) -> int:
        """How many steps the longest-running row has taken; 0 without rows."""
        return int(self.state.rows.step.max(initial=0))
