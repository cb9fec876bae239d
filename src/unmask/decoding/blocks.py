"""Whether a strategy goes by the blocks that a network must be decoded by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from unmask.core.arrays import on_host
from unmask.core.state import State
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError


def check_blocks(state: State, strategy: Strategy) -> None:
    """Raise StrategyError for a strategy that looks outside the open block.

    A network with `open_block_only` says nothing of other positions. state: before the first step.
    """
    size = state.spec.block_size
    if not state.spec.open_block_only or size is None:
        return
    if state.rows.plan.side_by_side or not _within_blocks(state, size):
        given = "none" if strategy.groups is None else strategy.groups.name
        raise StrategyError(
            f"the denoiser must be decoded in blocks of {size}, left to right, and the groups of "
            f"{strategy.name} are {given}: pass groups=Groups.blocks({size}), as "
            f"presets.sdar(block={size}) has them; to score, or in another order, use its inner "
            "denoiser"
        )
    rows = state.rows
    blocks = rows.now.groups_to_come + 1
    needed = blocks * rows.forwards_per_step
    short = np.flatnonzero((rows.budget < needed) & ~rows.finished)
    if len(short):
        row = int(short[0])
        raise StrategyError(
            f"Budget({int(rows.budget[row])}): row {int(rows.index[row])} has "
            f"{int(blocks[row])} blocks, which take {int(needed[row])} network "
            f"passes at least: pass Budget({int(needed.max())}) or more"
        )
    if _watches_finished_blocks(state, strategy):
        raise StrategyError(
            f"{type(strategy.revise).__name__} watches blocks that are finished, of which the "
            "denoiser says nothing: watch the open group only (state.open), or use its inner "
            "denoiser"
        )


def _watches_finished_blocks(state: State, strategy: Strategy) -> bool:
    """Whether a reviser asks for more than the open group, tried on a canvas that is full."""
    full = replace(state, masked=torch.zeros_like(state.masked))
    watched = strategy.revise.watches(full)
    return watched is not None and bool((watched & ~full.open).any())


def _within_blocks(state: State, size: int) -> bool:
    """Whether each group lies within one block of `size`, and groups go from left to right."""
    editable, rows = on_host(state.editable), state.rows
    # Without groups all is one group, which must be one block.
    group = np.zeros_like(editable, np.int64) if state.group is None else on_host(state.group)
    block, of_group = np.arange(editable.shape[1]) // size, rows.group_start // size
    inside = np.take_along_axis(of_group, group, 1) == block
    there = rows.members > 0
    so_far = np.maximum.accumulate(np.where(there, of_group, 0), 1)
    return bool((inside | ~editable).all() and ((of_group == so_far) | ~there).all())
