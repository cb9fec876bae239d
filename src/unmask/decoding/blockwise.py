"""Whether a strategy goes by the blocks that a denoiser must be decoded by."""

from __future__ import annotations

from dataclasses import replace

import torch

from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.grouping import blocks
from unmask.revision import Amends
from unmask.types import Denoiser, State


def check_blocks(denoiser: Denoiser, strategy: Strategy, state: State) -> None:
    """Raise StrategyError for a strategy that looks behind the open block, or before it.

    A denoiser that has `blocks` says nothing of other positions. state: before the first step.
    """
    size = getattr(strategy.guided(denoiser), "blocks", None)
    if size is None:
        return
    wanted = blocks(state.group.shape[1], size).to(state.group.device)
    if state.plan.side_by_side or not torch.equal(state.group, wanted.expand_as(state.group)):
        given = "none" if strategy.groups is None else strategy.groups.name
        raise StrategyError(
            f"the denoiser must be decoded in blocks of {size}, left to right, and the groups of "
            f"{strategy.name} are {given}: pass groups=Groups.blocks({size}), as "
            f"presets.llada(block={size}) has them; to score, or in another order, use its inner "
            "denoiser"
        )
    if strategy.budget is not None:
        raise StrategyError(
            f"budget={strategy.budget}: a row that has spent it commits all blocks at once, and "
            f"the denoiser knows only the open block of {size}: leave budget out, or use its inner "
            "denoiser"
        )
    if "divergence" in strategy.needs:
        raise StrategyError(
            f"{strategy.name} compares what is said of all unknown positions from step to step, "
            f"and the denoiser says it of the open block of {size} only: use another preset, such "
            f"as presets.threshold(block={size}), or its inner denoiser"
        )
    if isinstance(strategy.revise, Amends) and _reaches(strategy.revise, state):
        raise StrategyError(
            f"{type(strategy.revise).__name__} watches blocks that are finished, of which the "
            "denoiser says nothing: watch state.open only, or use its inner denoiser"
        )


def _reaches(revise: Amends, state: State) -> bool:
    """Whether it would watch anything but the open block, once only the last is unknown."""
    late = replace(state, masked=state.editable & (state.group == state.group.amax()))
    return bool((revise.watches(late) & ~late.open).any())
