"""Rows that an engine can take on: their state before the first step, and their strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from unmask.core.state import State
from unmask.decoding import Strategy
from unmask.engine.engine import Engine


class Begun(NamedTuple):
    """Rows before their first step. numbers: which rows of a request they are, in order."""

    numbers: Sequence[int]
    state: State
    strategy: Strategy


def adopted(engine: Engine, parts: Iterable[Begun], numbers: Sequence[int]) -> np.ndarray:
    """Hand all these rows over to an engine; return the ids there of `numbers`, (b,) int64.

    Raises what `Engine.adopt` raises.
    """
    ids = dict[int, int]()
    for part in parts:
        ids.update(zip(part.numbers, engine.adopt(part.state, part.strategy).tolist(), strict=True))
    return np.array([ids[number] for number in numbers], np.int64)
