"""Whether a strategy goes by the blocks that a network must be decoded by."""

from __future__ import annotations

import numpy as np

from unmask.core.errors import StrategyError
from unmask.core.state import State
from unmask.decoding.strategy import Strategy
from unmask.groups import blocks


def check_blocks(state: State, strategy: Strategy) -> None:
    """Raise StrategyError for a strategy that looks outside the open block.

    A network with `open_block_only` says nothing of other positions. state: before the first step.
    """
    size = state.spec.block_size
    if not state.spec.open_block_only or size is None:
        return
    wanted = blocks(state.tokens.shape[1], size).to(state.device)
    group = 0 if state.group is None else state.group  # all is one block where there are none
    elsewhere = bool(((wanted != group) & state.editable).any())
    if elsewhere or state.rows.plan.side_by_side:
        given = "none" if strategy.groups is None else strategy.groups.name
        raise StrategyError(
            f"the denoiser must be decoded in blocks of {size}, left to right, and the groups of "
            f"{strategy.name} are {given}: pass groups=Groups.blocks({size}), as "
            f"presets.sdar(block={size}) has them; to score, or in another order, use its inner "
            "denoiser"
        )
    rows = state.rows
    needed = (rows.groups_to_come + 1) * rows.forwards_per_step
    short = np.flatnonzero((rows.budget < needed) & ~rows.finished)
    if len(short):
        row = int(short[0])
        raise StrategyError(
            f"Budget({int(rows.budget[row])}): row {int(rows.index[row])} has "
            f"{int(rows.groups_to_come[row]) + 1} blocks, which take {int(needed[row])} network "
            f"passes at least: pass Budget({int(needed.max())}) or more"
        )
