"""Keys and values of positions that a decoder need not compute again.

Shapes: B rows, N positions, D width, H heads of Dh channels; R rows of Q queries in one pass, S
positions whose cached keys and values they may attend to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device
from unmask.core.inference import evaluating
from unmask.core.trees import widen
from unmask.errors import ModelError
from unmask.models.decoder import Decoder
from unmask.models.trial import same

NAMES = ("cache", "past_key_values")  # names of the argument in transformers, newest first
States = dict[str, Tensor]
"""Keys and values of each layer, "keys 0" and so on: (B,H,N,Dh)."""


@dataclass(frozen=True)
class KeyValueCache:
    """Keys and values of each row, zeros at positions that are not cached."""

    states: States
    tokens: Tensor  # (B,N) int64: the canvas they were computed from
    blocks: Tensor  # (B,) int64: number of blocks; the adapter decides which
    edge: Tensor  # (B,D): the trunk's state at the last position before the open block
    begun: np.ndarray  # (B,) bool, on the host

    def take(self, rows: np.ndarray) -> KeyValueCache:
        """These rows alone."""
        index = to_device(rows, self.tokens.device)
        return self._map(lambda leaf: leaf.index_select(0, index), self.begun[rows])

    def put(self, rows: np.ndarray, part: KeyValueCache) -> KeyValueCache:
        """This cache with `rows` replaced."""
        index, begun = to_device(rows, self.tokens.device), self.begun.copy()
        begun[rows] = part.begun
        return KeyValueCache(
            {
                name: old.index_copy(0, index, part.states[name])
                for name, old in self.states.items()
            },
            self.tokens.index_copy(0, index, part.tokens),
            self.blocks.index_copy(0, index, part.blocks),
            self.edge.index_copy(0, index, part.edge),
            begun,
        )

    def resize(self, length: int) -> KeyValueCache:
        """The cache for rows of `length` positions."""
        states = {name: widen(leaf, length, dim=2) for name, leaf in self.states.items()}
        return replace(self, states=states, tokens=widen(self.tokens, length))

    def blank(self, rows: int) -> KeyValueCache:
        """Rows that have not begun."""

        def nothing(leaf: Tensor) -> Tensor:
            return leaf.new_zeros(rows, *leaf.shape[1:])

        return self._map(nothing, np.zeros(rows, bool))

    def concat(self, others: Sequence[KeyValueCache]) -> KeyValueCache:
        """The rows of this cache, then those of the others."""
        every = (self, *others)
        return KeyValueCache(
            {name: torch.cat([each.states[name] for each in every]) for name in self.states},
            torch.cat([each.tokens for each in every]),
            torch.cat([each.blocks for each in every]),
            torch.cat([each.edge for each in every]),
            np.concatenate([each.begun for each in every]),
        )

    def _map(self, change: Callable[[Tensor], Tensor], begun: np.ndarray) -> KeyValueCache:
        states = {name: change(leaf) for name, leaf in self.states.items()}
        tokens, blocks, edge = change(self.tokens), change(self.blocks), change(self.edge)
        return KeyValueCache(states, tokens, blocks, edge, begun)


class Turn(NamedTuple):
    """The treatment of each position in a step. All (B,N) bool."""

    asked: Tensor  # it is computed
    reused: Tensor  # its cached keys and values are attended to
    kept: Tensor  # it is computed, and its keys and values are cached from now on


@dataclass
class Tally:
    """Counts of network passes and positions, for measurement only."""

    passes: int = 0  # calls of the network
    queries: int = 0  # positions computed, over all rows


class _Part(NamedTuple):
    """One pass: rows with equally many positions to compute."""

    rows: Tensor  # (R,) int64
    position: Tensor  # (R,Q) int64
    reused: Tensor  # (R,S) bool


def pass_through(
    decoder: Decoder, tokens: Tensor, order: Tensor, turn: Turn, old: States, tally: Tally
) -> tuple[Tensor, States]:
    """Return the hidden states (B,N,D), zeros where not computed, and `old` with new states.

    order (N,) int64: position i attends to j if order j ≤ order i, and j is computed or reused.
    Rows with equally many positions to compute share a pass, so that no pass has padding. old is
    not changed.
    """
    hidden: Tensor | None = None
    fresh: list[tuple[_Part, States]] = []
    for part in _parts(turn):
        own = order[part.position]  # (R,Q)
        seen = torch.cat(
            [
                part.reused.unsqueeze(1) & (order[: part.reused.shape[1]] <= own.unsqueeze(2)),
                own.unsqueeze(1) <= own.unsqueeze(2),
            ],
            2,
        )
        new: States = {}
        reading = {_argument(decoder): _reader()(old, new, part.rows, part.reused.shape[1])}
        out = decoder.trunk(
            tokens[part.rows].gather(1, part.position), part.position, seen, **reading
        )
        if hidden is None:
            hidden = out.new_zeros((*tokens.shape, out.shape[-1]))
        hidden[part.rows.unsqueeze(1), part.position] = out
        fresh.append((part, new))
        tally.passes, tally.queries = tally.passes + 1, tally.queries + part.position.numel()
    assert hidden is not None
    return hidden, _with_new_states(old, fresh, turn.kept)


def _parts(turn: Turn) -> list[_Part]:
    width = turn.asked.sum(1)
    parts = []
    for asked in width[width > 0].unique().tolist():
        rows = (width == asked).nonzero().squeeze(1)
        position = turn.asked[rows].nonzero()[:, 1].view(len(rows), asked)
        somewhere = turn.reused[rows].any(0).nonzero()
        last = int(somewhere[-1]) + 1 if len(somewhere) else 0
        parts.append(_Part(rows, position, turn.reused[rows, :last]))
    return parts


def _with_new_states(old: States, fresh: list[tuple[_Part, States]], kept: Tensor) -> States:
    """Return keys and values by position; new tensors if anything is added."""
    if old and not bool(kept.any()):
        return old
    batch, length = kept.shape
    states = {}
    for name, one in fresh[0][1].items():
        shape = (batch, one.shape[1], length, one.shape[3])
        states[name] = old[name].clone() if old else one.new_zeros(shape)
        for part, new in fresh:
            here, query = kept[part.rows.unsqueeze(1), part.position].nonzero().unbind(1)
            place = (part.rows[here], slice(None), part.position[here, query])
            states[name][place] = new[name][here, :, query]
    return states


@cache
def _reader() -> Any:
    """Return a subclass of transformers' Cache with the methods that a forward pass uses."""
    from transformers import Cache

    class Reading(Cache):  # type: ignore[misc, unused-ignore]
        """A Cache that returns cached and new keys and values, and stores the new ones."""

        def __init__(self, old: States, new: States, rows: Tensor, slots: int):
            self.old, self.new, self.rows, self.slots = old, new, rows, slots
            self.layers: list[Any] = []

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
        ) -> tuple[Tensor, Tensor]:
            """Return keys and values (R,H,S+Q,Dh), given new ones (R,H,Q,Dh)."""
            return (
                self._one(f"keys {layer_idx}", key_states),
                self._one(f"values {layer_idx}", value_states),
            )

        def _one(self, name: str, new: Tensor) -> Tensor:
            self.new[name] = new
            if not self.slots:
                return new
            old = self.old[name][:, :, : self.slots].index_select(0, self.rows)
            return torch.cat([old, new], 2)

        def get_seq_length(self, layer_idx: int = 0) -> int:
            """Return 0, because position ids are passed explicitly."""
            return 0

    return Reading


def _argument(decoder: Decoder) -> str:
    """Return the name of the network's cache argument. Raises ModelError if it has none."""
    known = inspect.signature(decoder.backbone.base_model.forward).parameters
    name = next((name for name in NAMES if name in known), None)
    if name is None:
        raise ModelError("this network takes no cache: use the Decoder without one")
    return name


def try_cache(decoder: Decoder) -> None:
    """Raise ModelError unless positions computed in two passes equal those of a single pass.

    Two rows share both passes, and differ in the positions of each pass.
    """
    device = decoder.device or torch.device("cpu")
    tokens = (torch.arange(8, device=device).view(2, 4) + 1) % decoder.spec.vocab_size
    first = torch.tensor([[True, True, False, False], [True, False, True, False]], device=device)
    seen = first.unsqueeze(1) | ~first.unsqueeze(2)
    nothing, order = torch.zeros_like(first), torch.zeros_like(tokens[0])
    try:
        with evaluating(decoder):
            whole = decoder.trunk(tokens, torch.arange(4, device=device).expand(2, 4), seen)
            turn = Turn(first, nothing, first)
            early, states = pass_through(decoder, tokens, order, turn, {}, Tally())
            turn = Turn(~first, first, nothing)
            late, _ = pass_through(decoder, tokens, order, turn, states, Tally())
    except Exception as error:
        raise ModelError(
            f"this network cannot use cached keys and values: {error!r}. Use the Decoder without a "
            "cache"
        ) from error
    if not same(early + late, whole):
        raise ModelError(
            "positions of this network differ if computed in separate passes (it counts positions "
            "by itself, or its memory is not keys and values alone): use the Decoder without a "
            "cache"
        )
