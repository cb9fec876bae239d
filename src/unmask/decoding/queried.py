"""The queried positions, and what belongs to each of them.

Shapes: B rows, N positions, M positions queried over the whole batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device, true_positions, waits
from unmask.core.inversion import COLD
from unmask.core.random import Purpose
from unmask.core.state import State
from unmask.decoding.context import error_context
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.sampling import Temperatures


@dataclass(frozen=True)
class Queried:
    """M positions, in the order of the canvas."""

    index: Tensor  # (M,) int64: into the flat canvas
    row: Tensor  # (M,) int64
    position: Tensor  # (M,) int64
    u: Tensor  # (M,2) float64 in (0, 1); ½ where every draw is the likeliest id
    temperature: Temperatures
    held: Tensor | None  # (M,) int64: the token that stands there, −1 where one is to be drawn
    allowed: Tensor | None  # (M,V) bool: what may be drawn there; None for everything

    def __len__(self) -> int:
        return len(self.index)

    def split(self, size: int) -> list[Queried]:
        """Parts of so many positions or fewer; none of none."""
        if 0 < len(self.index) <= size:
            return [self]
        return [self.take(slice(i, i + size)) for i in range(0, len(self.index), size)]

    def take(self, at: slice | Tensor) -> Queried:
        """Return these positions alone: a slice of them, or their numbers, int64."""
        given: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        cut = {name: v[at] for name, v in given.items() if isinstance(v, Tensor)}
        return replace(self, temperature=self.temperature.take(at), **cut)


def find_queried(
    state: State,
    strategy: Strategy,
    queried: Tensor,
    count: int | None,
    holds: bool,
    allowed: Tensor | None,
) -> Queried:
    """Return the positions where queried (B,N) bool; arguments as in `propose`."""
    length = queried.shape[1]
    of_row: Tensor | np.ndarray
    of_position: Tensor | np.ndarray
    if waits(state.device):
        index = true_positions(queried.flatten(), count)
        row, position = of_row, of_position = index // length, index % length
    else:
        places = np.flatnonzero(queried.numpy())
        assert count is None or len(places) == count, (len(places), count)
        of_row, of_position = np.divmod(places, length)
        index, row, position = map(torch.from_numpy, (places, of_row, of_position))
    temperature = _temperatures(state, strategy, row)
    if temperature.always_greedy:
        u = torch.full((len(index), 2), 0.5, dtype=torch.float64, device=state.device)
    else:
        u = state.uniforms_at(of_row, of_position, Purpose.DRAW)
    held = _held(state, index) if holds or state.target is not None else None
    return Queried(index, row, position, u, temperature, held, allowed)


def _temperatures(state: State, strategy: Strategy, row: Tensor) -> Temperatures:
    """Those of queried positions, from their rows (M,)."""
    value = strategy.sampling.temperature
    if not callable(value):
        return Temperatures(value, value < COLD)
    now = state.rows.now
    with error_context(state.rows, "the temperature function", StrategyError):
        values = strategy.sampling.temperatures(now.progress, now.group_steps)
    sent = to_device(values.astype(np.float32), state.device)
    return Temperatures(sent[row], bool((values < COLD).any()))


def _held(state: State, index: Tensor) -> Tensor:
    """(M,) int64: the token that stands at each position, −1 where one is to be drawn."""
    if state.target is not None:
        return state.target.where(state.masked, state.tokens).flatten()[index]
    return state.tokens.masked_fill(state.masked, -1).flatten()[index]
