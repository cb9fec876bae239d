"""Prepare: what the network is shown at a step. Knows strategies and no network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unmask.core.network import Query
from unmask.core.state import State
from unmask.decoding.context import ask, named
from unmask.decoding.strategy import Strategy


def prepare(state: State, strategy: Strategy) -> Query:
    """Return the query of a step: B rows, or 2B where guidance reads each row twice."""
    noise, inputs = strategy.noise, state.spec.inputs
    shown = ask(noise.show, state, what=named("noise", noise), of=state, dtype=torch.int64)
    if isinstance(shown, Tensor):
        tokens = shown.where(state.masked, state.tokens)
    else:
        tokens = state.tokens.masked_fill(state.masked, shown)
    timed = "progress" in inputs
    block, start = _open_block(state) if "open_block" in inputs else (None, None)
    query = Query(
        tokens,
        state.valid,
        state.rows.length,
        state.condition,
        masked=state.masked if "masked" in inputs else None,
        progress=state.progress if timed else None,
        unknown_share=state.numbers["unknown_share"] if timed else None,
        open_block=block,
        open_start=start,
        reach=_reach(state, strategy),
    )
    return query if strategy.guidance is None else strategy.guidance.expand(query, state)


def _reach(state: State, strategy: Strategy) -> np.ndarray:
    """(B,) int64: the position before which a step reads answers, behind its open group.

    Behind the row where it may read all: groups run side by side, a reviser of one's own looks
    anywhere, or a row grows by its end. A row's last step reads all that is unknown.
    """
    rows = state.rows
    if not state.sequential or not strategy.revise.counted or strategy.growth is not None:
        return rows.length
    beyond = rows.now.is_final_step & (rows.unknown > rows.open_unknown)
    return np.where(beyond, rows.length, rows.now.open_end)


def _open_block(state: State) -> tuple[np.ndarray, np.ndarray]:
    """(B,) int64: the block of the network in which the open group lies, and where it begins."""
    assert state.spec.block_size is not None
    rows, size, origin = state.rows, state.spec.block_size, np.zeros_like(state.rows.length)
    if state.spec.block_origin == "prompt":
        origin = rows.first
    block = (rows.now.open_start - origin) // size
    return block, origin + block * size
