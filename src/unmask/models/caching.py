"""Keys and values of positions that a decoder need not compute again.

Shapes: B rows, N positions, D width, H heads of Dh channels; R rows of Q queries in one pass, S
positions whose cached keys and values they may attend to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import on_host, to_device
from unmask.core.inference import evaluating
from unmask.core.trees import widen
from unmask.errors import ModelError
from unmask.models.decoder import Decoder
from unmask.models.hidden_cache import RowCache
from unmask.models.outputs import arguments, inside, remembered
from unmask.models.trial import same

NAMES = ("cache", "past_key_values")  # names of the argument in transformers, newest first
WITHOUT = "Use the Decoder without a cache"
States = dict[str, Tensor]
"""Keys and values of each layer, "keys 0" and so on: (B,H,N,Dh)."""


@dataclass(frozen=True)
class KeyValueCache(RowCache):
    """Keys and values of each row, zeros at positions that are not cached."""

    states: States
    tokens: Tensor  # (B,N) int64: the canvas they were computed from
    blocks: Tensor  # (B,) int64: number of blocks; the adapter decides which
    edge: Tensor  # (B,D): with a logit shift, the trunk's state at the last position before a block

    def resize(self, length: int) -> KeyValueCache:
        states = {name: widen(leaf, length, dim=2) for name, leaf in self.states.items()}
        return replace(self, states=states, tokens=widen(self.tokens, length))


class Turn(NamedTuple):
    """The positions of each row in a step: computed ones, and cached ones. All (B,) int64.

    On the host, so that which they are is never asked of the device.
    """

    begin: np.ndarray  # the first that is computed; those before it are read from the cache
    end: np.ndarray  # behind the last that is computed
    reach: np.ndarray  # behind the last that is read: more than `end` where later ones are cached
    kept: np.ndarray  # computed ones before this one are cached from now on


class Pass(NamedTuple):
    """Spans of one width that share a pass of the network. All (R,) int64, on the host."""

    rows: np.ndarray  # of the batch
    begin: np.ndarray  # the first position of each span
    read: np.ndarray  # cached positions before this one are read
    beside: np.ndarray | None  # another span of the pass that each reads, −1 for none


class Cached(Protocol):
    """A network of which some positions can be computed, and others read from a cache."""

    @property
    def backbone(self) -> Any: ...

    def trunk(self, tokens: Tensor, position: Tensor, seen: Tensor, **cache: Any) -> Tensor: ...


@dataclass
class Tally:
    """Counts of network passes and positions, for measurement only."""

    passes: int = 0  # calls of the network
    queries: int = 0  # positions computed, over all rows


def pass_through(
    decoder: Cached,
    tokens: Tensor,
    order: Tensor,
    turn: Turn,
    old: States,
    tally: Tally,
    block: int | None = None,
) -> tuple[Tensor, States]:
    """Return the hidden states (B,N,D), zeros where not computed, and `old` with new states.

    order (N,) int64, ascending: position i attends to j if order j ≤ order i, and j is computed or
    cached. Rows with equally many positions to compute share a pass, so that no pass has padding;
    of a decoder with blocks of `block`, see `_passes`. old is not changed.
    """
    trunk: Any = type(inside(decoder.backbone.base_model))
    argument, device, hidden = _argument(trunk), order.device, None
    fresh: list[tuple[np.ndarray, np.ndarray, States]] = []
    for some, width in _passes(turn, block):
        span = some.begin[:, None] + np.arange(width)
        rows, position = to_device(some.rows, device), to_device(span, device)
        own, row = order[position], rows.unsqueeze(1)
        seen = [own.unsqueeze(1) <= own.unsqueeze(2)]
        slots = _slots(some, turn)
        if slots.size:
            seen.insert(0, to_device(slots, device).unsqueeze(1).expand(-1, width, -1))
        beside = None
        if some.beside is not None:
            other = to_device(some.beside, device)
            seen.append((other >= 0).view(-1, 1, 1).expand_as(seen[-1]))
            beside = other.clamp(min=0)
        new: States = {}
        every = len(some.rows) == len(tokens) and beside is None
        reading = _reader()(old, new, None if every else rows, slots.shape[1], beside)
        shown = tokens[row, position]
        out = decoder.trunk(shown, position, torch.cat(seen, 2), **{argument: reading})
        if hidden is None:
            hidden = out.new_zeros((*tokens.shape, out.shape[-1]))
        hidden[row, position] = out
        fresh.append((some.rows, span, new))
        tally.passes, tally.queries = tally.passes + 1, tally.queries + span.size
    assert hidden is not None
    return hidden, _with_new_states(old, fresh, turn, tokens)


def _passes(turn: Turn, block: int | None) -> Iterator[tuple[Pass, int]]:
    """Yield the passes of a step, and how many positions each row of one has.

    A finished block and the open one behind it are two rows of the pass of rows with a block each.
    """
    rows, begin, read = np.arange(len(turn.begin)), turn.begin, turn.begin
    width, second = turn.end - begin, np.zeros(0, np.int64)
    if block is not None and (width == block).any():
        second = np.flatnonzero(width == 2 * block)
        width = np.append(width.copy(), np.full(len(second), block))
        width[second] = block
        rows, begin = np.append(rows, second), np.append(begin, begin[second] + block)
        read = np.append(read, read[second])
    for asked in np.unique(width[width > 0]).tolist():
        some, beside = np.flatnonzero(width == asked), None
        if len(second) and asked == block:
            beside = np.full(len(some), -1)
            beside[len(some) - len(second) :] = np.searchsorted(some, second)
        yield Pass(rows[some], begin[some], read[some], beside), asked


def _slots(some: Pass, turn: Turn) -> np.ndarray:
    """(R,S) bool: the cached positions that each span reads, of the first S."""
    end, reach = turn.end[some.rows], turn.reach[some.rows]
    behind = reach > end
    place = np.arange(int(np.where(behind, reach, some.read).max()))
    slots = place < some.read[:, None]
    if behind.any():
        slots |= (place >= end[:, None]) & (place < reach[:, None])
    return slots


def _with_new_states(
    old: States, fresh: list[tuple[np.ndarray, np.ndarray, States]], turn: Turn, tokens: Tensor
) -> States:
    """Return keys and values by position; new tensors if anything is added."""
    if old and not (turn.kept > turn.begin).any():
        return old
    states, added = {}, []
    for rows, span, new in fresh:
        at, query = np.nonzero(span < turn.kept[rows, None])
        where = (rows[at], span[at, query], at, query)
        added.append((new, [to_device(each, tokens.device) for each in where]))
    for name, one in fresh[0][2].items():
        shape = (len(tokens), one.shape[1], tokens.shape[1], one.shape[3])
        states[name] = old[name].clone() if old else one.new_zeros(shape)
        for new, (row, position, nth, own) in added:
            states[name][row, :, position] = new[name][nth, :, own]
    return states


def unchanged(count: Tensor, before: Tensor, tokens: Tensor) -> np.ndarray:
    """Return count (B,) int64 on the host, 0 for rows of which one of that many tokens differs."""
    place = torch.arange(tokens.shape[1], device=tokens.device)
    changed = ((place < count.unsqueeze(1)) & (tokens != before)).any(1)
    return on_host(count.masked_fill(changed, 0))


@cache
def _reader() -> Any:
    """Return a subclass of transformers' Cache with the methods that a forward pass uses."""
    from transformers import Cache

    class Reading(Cache):  # type: ignore[misc, unused-ignore]
        """A Cache that returns cached and new keys and values, and stores the new ones."""

        def __init__(
            self, old: States, new: States, rows: Tensor | None, slots: int, beside: Tensor | None
        ):
            self.old, self.new, self.rows = old, new, rows
            self.slots, self.beside = slots, beside
            self.layers: list[Any] = []

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
        ) -> tuple[Tensor, Tensor]:
            """Return keys and values (R,H,K,Dh), given new ones (R,H,Q,Dh).

            K are S cached positions, the Q of the row, and the Q of the row beside it, if any.
            """
            keys, values = f"keys {layer_idx}", f"values {layer_idx}"
            self.new |= {keys: key_states, values: value_states}
            return self._all(keys), self._all(values)

        def _all(self, name: str) -> Tensor:
            parts = [self.new[name]]
            if self.slots:
                old = self.old[name][:, :, : self.slots]
                parts.insert(0, old if self.rows is None else old.index_select(0, self.rows))
            if self.beside is not None:
                parts.append(self.new[name].index_select(0, self.beside))
            return torch.cat(parts, 2) if len(parts) > 1 else parts[0]

        def get_seq_length(self, layer_idx: int = 0) -> int:
            """Return 0, because position ids are passed explicitly."""
            return 0

    return Reading


@remembered
def _argument(trunk: type) -> str:
    """Return the name of the cache argument of networks of a class. ModelError if it has none."""
    known = arguments(trunk.forward)  # type: ignore[attr-defined]
    name = next((name for name in NAMES if name in known), None)
    if name is None:
        raise ModelError(f"this network takes no cache. {WITHOUT}")
    return name


def try_cache(decoder: Decoder) -> None:
    """Raise ModelError unless positions computed in three passes equal those of a single pass.

    Two rows share the first pass and the last, which begins further on in one of them.
    """
    device = decoder.device or torch.device("cpu")
    tokens = (torch.arange(8, device=device).view(2, 4) + 1) % decoder.spec.vocab_size
    nth = torch.tensor([[0, 1, 2, 2], [0, 2, 2, 3]], device=device)  # pass of each position
    order = torch.zeros_like(tokens[0])
    states: States = {}
    try:
        with evaluating(decoder):
            place = torch.arange(4, device=device).expand(2, 4)
            whole = decoder.trunk(tokens, place, nth.unsqueeze(1) <= nth.unsqueeze(2))
            found = torch.zeros_like(whole)
            for begins, ends in (((0, 0), (1, 1)), ((1, 1), (2, 1)), ((2, 1), (4, 3))):
                begin, end = np.array(begins), np.array(ends)
                turn = Turn(begin, end, end, end)
                part, states = pass_through(decoder, tokens, order, turn, states, Tally())
                found += part
    except Exception as error:
        raise ModelError(
            f"this network cannot use cached keys and values: {error!r}. {WITHOUT}"
        ) from error
    if not same(found, whole.where((nth < 3).unsqueeze(2), 0.0)):
        raise ModelError(
            "positions of this network differ if computed in separate passes (it counts positions "
            f"by itself, or its memory is not keys and values alone). {WITHOUT}"
        )
