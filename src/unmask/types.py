"""The words the floors share: a network, a generation while it runs, and its record.

Shapes: B rows, N positions, V vocabulary, D width, M rows looked at, S planned steps, P groups that
run side by side (1 unless a strategy says so), K likeliest ids kept, H steps looked back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.host import taken

Memory = Any
"""Opaque slot owned by the denoiser: None, or a tree of tensors whose first dimension is B."""

NEVER = -1
"""`commit_step` of a position that generation has not committed."""


@runtime_checkable
class Denoiser(Protocol):
    """A masked network, split into a trunk and a head so that the head runs only where asked.

    `hidden` also receives `condition=` (first dimension B) when, and only when, the canvas has one.
    Optional attributes are read where present: `forbidden` (ids that are never data), `length`
    (the N that `generate` uses when none is given), `device`, `forwards_per_step` (what a step
    costs, 1 unless it says so), `trims` (rows may be cut to their length; without memory only),
    `sees_progress`: where it is True, `hidden` also receives `progress=` and `ratio=`, (B,)
    float64, r = s/T of the step and the share still unknown, both of the open group;
    `sees_masked`: where it is True, `hidden` also receives `masked=`, (B,N) bool, True where still
    unknown; `blocks`, W where strategies must go by `Groups.blocks(W)`, because hidden states mean
    nothing behind the open block; and `projection`, a method (M,D) -> Projection | None: the
    features and weights of which `logits` would be the product, so that a kernel can do without
    logits in memory; None, or no such method, where the head ends in anything else.
    """

    @property
    def vocab_size(self) -> int | None:
        """V; None while it is still to be learnt from the first call."""

    @property
    def mask_id(self) -> int | None:
        """The id shown at unknown positions."""

    @property
    def hidden(self) -> Callable[..., tuple[Tensor, Memory]]:
        """hidden(tokens, *, valid, memory): one pass of the trunk.

        (B,N) ids, with the mask id where unknown, and (B,N) bool -> (B,N,D) and the memory for the
        next step.
        """

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V), for the rows asked for only. The caller may write to the result."""


class Critic(Protocol):
    """Judges a filled canvas: (B,N) ids -> (B,N) logits that a token is *wrong* (2209.04439)."""

    def __call__(self, tokens: Tensor, *, valid: Tensor, condition: Any) -> Tensor: ...


class Plan(NamedTuple):
    """What each step of each row may leave unknown, made before the first. G groups in a row."""

    left: Tensor  # (B,P,S) int64: how many may still be unknown after the step
    at: Tensor  # (B,S) int64: s, the number of the step within its group, from 1
    of: Tensor  # (B,S) int64: T, the steps of that group
    begins: Tensor  # (B,G) int64: the place in the plan at which each group begins

    @property
    def side_by_side(self) -> bool:
        """Whether several groups run at once, each by its own plan."""
        return self.left.shape[1] > 1


class Past(NamedTuple):
    """What was said of each position before, in a form that does not grow with the vocabulary."""

    ids: Tensor  # (B,N,K) int64: the likeliest ids of the last step, NEVER where not looked at
    logprob: Tensor  # (B,N,K) float32: how likely they were
    divergence: Tensor  # (B,N,H) float32: nats from step to step, the latest first; inf before


class Ahead(Protocol):
    """What the host knows of the next step of a state."""

    @property
    def open(self) -> np.ndarray:
        """(B,) bool: rows that take it."""

    @property
    def looked_for_faults(self) -> bool:
        """Whether what went wrong before has been raised."""

    def about(self, state: State) -> bool:
        """Whether it is this state's step, and not that of one like it."""


@dataclass(frozen=True)
class State:
    """Everything the next step needs, and nothing else. All tensors live on one device."""

    # canvas
    tokens: Tensor  # (B,N) int64: current ids; what stands at unknown positions means nothing
    masked: Tensor  # (B,N) bool: still unknown
    editable: Tensor  # (B,N) bool: generation may change it (not prompt, not padding)
    valid: Tensor  # (B,N) bool: not padding
    group: Tensor  # (B,N) int64: what is ranked together; the same everywhere without groups
    # record
    logprob: Tensor  # (B,N) float32: log p(token) under the model when it was committed
    drawn_logprob: Tensor  # (B,N) float32: the same under the shaped distribution it was drawn from
    commit_step: Tensor  # (B,N) int64: step of the commit, NEVER where there was none
    # rows
    row: Tensor  # (B,) int64: index in the canvas, whatever rows have left since
    seed: Tensor  # (B,) int64
    step: Tensor  # (B,) int64: steps taken
    forwards: Tensor  # (B,) int64: network passes spent
    done: Tensor  # (B,) bool
    # plan
    plan: Plan
    total: Tensor  # (B,) int64: planned steps; the last one leaves nothing unknown
    budget: Tensor  # (B,) int64: network passes that the row may spend
    cost: Tensor  # (B,) int64: network passes of one step
    place: Tensor  # (B,) int64: of the step in the plan; step, unless a group ended early
    fault: Tensor  # (B,) int64: 0, or what went wrong, where and when (`decoding.faults`)
    # carried
    past: Past | None = None  # kept for selections that compare steps
    memory: Memory = None
    condition: Any = None  # tree of tensors whose first dimension is B, handed to the denoiser
    # on the host
    ahead: Ahead | None = None  # what is known of the next step without asking the device

    @cached_property
    def progress(self) -> Tensor:
        """(B,) float64: r = s/T of the step being taken, s counted from 1 within the open group."""
        return self.within.double() / self.span.clamp(min=1).double()

    @cached_property
    def within(self) -> Tensor:
        """(B,) int64: s, the step being taken, counted from 1 within the open group."""
        return self._now(self.plan.at)

    @cached_property
    def span(self) -> Tensor:
        """(B,) int64: T, the steps of the open group."""
        return self._now(self.plan.of)

    @cached_property
    def open(self) -> Tensor:
        """(B,N) bool: the open group, the lowest with an unknown position; all where side by side.

        Without groups that is every position of a row with unknown ones.
        """
        if self.plan.side_by_side:
            return torch.ones_like(self.masked)
        return self.group == self.open_group.unsqueeze(1)

    @cached_property
    def open_group(self) -> Tensor:
        """(B,) int64: the lowest group with an unknown position, the last where there is none."""
        last = self.group.amax(1, keepdim=True)
        return self.group.where(self.masked, last).amin(1)

    @cached_property
    def last(self) -> Tensor:
        """(B,) bool: rows whose step is the last they may take, which leaves nothing unknown."""
        spent = self.forwards + 2 * self.cost > self.budget
        return (self.step + 1 >= self.total) | spent

    @cached_property
    def remaining(self) -> Tensor:
        """(B,P) int64: how many positions the plan leaves unknown after the step being taken."""
        width = self.plan.left.shape[1]
        at = self._index(self.plan.left.shape[2]).unsqueeze(1).expand(-1, width, 1)
        return self.plan.left.gather(2, at).squeeze(2)

    def _now(self, planned: Tensor) -> Tensor:
        return planned.gather(1, self._index(planned.shape[1])).squeeze(1)

    def _index(self, width: int) -> Tensor:
        return self.place.clamp(max=width - 1).unsqueeze(1)

    def take(self, rows: Tensor, begun: bool | None = None) -> State:
        """The state of these rows alone, in this order. rows (b,) int64.

        begun: whether some of them have taken a step, where the caller knows.
        """
        part = self._map(lambda _, part: tree_map(lambda leaf: _rows(leaf, rows), part))
        # Rows that have taken no step have no memory yet, whatever stands in their place.
        if part.memory is not None and begun is None:
            begun = bool((part.step > 0).any())
        return part if begun else replace(part, memory=None)

    def put(self, rows: Tensor, part: State) -> State:
        """This state with `rows` replaced by `part`, the result of stepping `take(rows)`."""

        def place(name: str, old: Any) -> Any:
            new = getattr(part, name)
            if name in _FIXED:
                return old
            if name == "memory":
                return _spread(old, new, rows, len(self.row))
            if name == "past" and old is not None:
                return Past(*(o.index_copy(0, rows, n) for o, n in zip(old, new, strict=True)))
            return old.index_copy(0, rows, new) if isinstance(old, Tensor) else old

        return self._map(place)

    def __getstate__(self) -> dict[str, Any]:
        """A copy, or a state on another machine, asks for itself what comes next."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"ahead": None}

    def _map(self, change: Callable[[str, Any], Any]) -> State:
        """Every field changed; what is known of the next step is not known of another state's."""
        changed = {f.name: change(f.name, getattr(self, f.name)) for f in fields(self)}
        return replace(self, **changed | {"ahead": None})


# What a step never changes.
_CANVAS = {"editable", "valid", "group", "condition"}
_FIXED = _CANVAS | {"row", "seed", "plan", "total", "budget", "cost"}


def _rows(leaf: Any, rows: Tensor) -> Any:
    return taken(leaf, rows) if isinstance(leaf, Tensor) else leaf


def _spread(old: Memory, new: Memory, rows: Tensor, batch: int) -> Memory:
    """Memory of the open rows, back at their places; rows that have left keep what they had."""

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        full = leaf.new_zeros((batch, *leaf.shape[1:]))
        return full.index_copy(0, rows, leaf)

    if old is None or new is None:
        return tree_map(place, new)
    return tree_map(
        lambda was, now: was.index_copy(0, rows, now) if isinstance(was, Tensor) else now, old, new
    )


@dataclass(frozen=True)
class Prediction:
    """One pass of the trunk; logits exist only once somebody asks for rows of them."""

    hidden: Tensor  # (B,N,D)
    memory: Memory


@dataclass(frozen=True)
class Proposal:
    """What the head says where it was asked, dense over the canvas. Float32.

    A committed position that is looked at proposes the token it holds. The optional statistics are
    there when the order declares that it `needs` them, by these names.
    """

    looked: Tensor  # (B,N) bool: where the fields below mean anything
    token: Tensor  # (B,N) int64
    logprob: Tensor  # (B,N): log p(token) under the model, illegal ids removed, temperature 1
    drawn_logprob: Tensor  # (B,N): log p(token) under the shaped distribution
    kept_logprob: Tensor | None = None  # (B,N): after top-k, top-p and min-p, temperature 1
    top_logprob: Tensor | None = None  # (B,N): log of the largest probability
    top_token: Tensor | None = None  # (B,N) int64: the likeliest id
    margin: Tensor | None = None  # (B,N): largest probability minus the second largest
    entropy: Tensor | None = None  # (B,N): nats
    noised_logprob: Tensor | None = None  # (B,N): log-softmax of logits + temperature·Gumbel
    past: Past | None = None  # this step's, with divergence (B,N,1) from the step before
    fault: Tensor | None = None  # (B,) int64: 0, or what is wrong with the logits of a row


@dataclass(frozen=True)
class Change:
    """What a step does to the canvas. All (B,N) bool, no two at one position."""

    commit: Tensor  # unknown before, known after
    remask: Tensor  # known before, unknown after
    edit: Tensor  # known before, another token after: the likeliest one
    forwards: Tensor  # (B,) int64: network passes that finding this out took


@dataclass(frozen=True)
class StepInfo:
    """What is worth seeing of one step. Fields cover the rows that were open, `rows` (b,)."""

    state: State  # all rows, after the step
    rows: Tensor  # (b,) int64: indices of the rows this step advanced
    proposal: Proposal
    score: Tensor  # (b,N) float32: higher was committed sooner; -inf where not in the running
    committed: Tensor  # (b,N) bool
    remasked: Tensor  # (b,N) bool
    edited: Tensor  # (b,N) bool

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
        """How many steps the longest-running row has taken."""
        return int(self.state.step.max())


@dataclass(frozen=True)
class Generation:
    """The whole record of a finished generation."""

    tokens: Tensor  # (B,N) int64
    logprob: Tensor  # (B,N) float32: under the model when committed; 0 where given
    drawn_logprob: Tensor  # (B,N) float32: under the distribution drawn from; 0 where given
    commit_step: Tensor  # (B,N) int64: NEVER where given
    steps: Tensor  # (B,) int64
    forwards: Tensor  # (B,) int64
    seeds: Tensor  # (B,) int64
    editable: Tensor  # (B,N) bool
    valid: Tensor  # (B,N) bool


@dataclass(frozen=True)
class Loss:
    """A training loss with what it was made of."""

    loss: Tensor  # (): what to call backward() on, nats per token
    nll: Tensor | None  # (): summed bound in nats, detached; None where the value is no likelihood
    tokens: Tensor  # (): how many tokens the loss covers
    per_example: Tensor  # (B,) nats per example, detached
    counts: Tensor  # (B,) int64: how many tokens of each example the loss covers
