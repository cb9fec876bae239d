"""Keys and values of positions that a decoder need not compute again.

Shapes: B rows, N positions, D width, H heads of Dh channels; R rows of Q queries in one pass, S
positions whose cached keys and values they may attend to.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from unmask.models.outputs import arguments, inside
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
    """The treatment of each position in a step. All (B,N) bool."""

    asked: Tensor  # it is computed
    reused: Tensor  # its cached keys and values are attended to
    kept: Tensor  # it is computed, and its keys and values are cached from now on


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
    decoder: Cached, tokens: Tensor, order: Tensor, turn: Turn, old: States, tally: Tally
) -> tuple[Tensor, States]:
    """Return the hidden states (B,N,D), zeros where not computed, and `old` with new states.

    order (N,) int64: position i attends to j if order j ≤ order i, and j is computed or reused.
    Rows with equally many positions to compute share a pass, so that no pass has padding. old is
    not changed.
    """
    trunk: Any = type(inside(decoder.backbone.base_model))
    argument = _argument(trunk)
    hidden: Tensor | None = None
    fresh: list[tuple[Tensor, Tensor, States]] = []
    count = torch.arange(1, len(order) + 1, device=order.device)
    width = on_host(turn.asked.sum(1))
    for asked in np.unique(width[width > 0]).tolist():
        rows = to_device(np.flatnonzero(width == asked), order.device)
        shown, queried, reused = _rows((tokens, turn.asked, turn.reused), rows)
        position = queried.nonzero()[:, 1].view(len(rows), asked)  # (R,Q)
        slots = int((reused.any(0) * count).max())
        earlier = order.where(reused, len(order))[:, :slots]
        own = order[position]
        seen = torch.cat([earlier, own], 1).unsqueeze(1) <= own.unsqueeze(2)
        new: States = {}
        reading = {argument: _reader()(old, new, rows, slots)}
        out = decoder.trunk(shown.gather(1, position), position, seen, **reading)
        if hidden is None:
            hidden = out.new_zeros((*tokens.shape, out.shape[-1]))
        hidden[rows.unsqueeze(1), position] = out
        fresh.append((rows, position, new))
        tally.passes, tally.queries = tally.passes + 1, tally.queries + position.numel()
    assert hidden is not None
    return hidden, _with_new_states(old, fresh, turn.kept)


def _rows(values: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    """Return these rows (R,) int64 of each, ascending; nothing is copied where they are all."""
    return [each if len(rows) == len(each) else each.index_select(0, rows) for each in values]


def _with_new_states(
    old: States, fresh: list[tuple[Tensor, Tensor, States]], kept: Tensor
) -> States:
    """Return keys and values by position; new tensors if anything is added."""
    if old and not bool(kept.any()):
        return old
    batch, length = kept.shape
    states = {}
    for name, one in fresh[0][2].items():
        shape = (batch, one.shape[1], length, one.shape[3])
        states[name] = old[name].clone() if old else one.new_zeros(shape)
        for rows, position, new in fresh:
            here, query = kept[rows.unsqueeze(1), position].nonzero().unbind(1)
            place = (rows[here], slice(None), position[here, query])
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
            keys, values = f"keys {layer_idx}", f"values {layer_idx}"
            self.new |= {keys: key_states, values: value_states}
            return self._all(keys), self._all(values)

        def _all(self, name: str) -> Tensor:
            if not self.slots:
                return self.new[name]
            (old,) = _rows((self.old[name][:, :, : self.slots],), self.rows)
            return torch.cat([old, self.new[name]], 2)

        def get_seq_length(self, layer_idx: int = 0) -> int:
            """Return 0, because position ids are passed explicitly."""
            return 0

    return Reading


@cache
def _argument(trunk: type) -> str:
    """Return the name of the cache argument of networks of a class. ModelError if it has none."""
    known = arguments(trunk.forward)  # type: ignore[attr-defined]
    name = next((name for name in NAMES if name in known), None)
    if name is None:
        raise ModelError(f"this network takes no cache. {WITHOUT}")
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
            f"this network cannot use cached keys and values: {error!r}. {WITHOUT}"
        ) from error
    if not same(early + late, whole):
        raise ModelError(
            "positions of this network differ if computed in separate passes (it counts positions "
            f"by itself, or its memory is not keys and values alone). {WITHOUT}"
        )
