"""What a generation begins with and goes on with, checked where it comes in.

A state may go on under a strategy that would have begun it alike. `init` works parts of a strategy
into the state: the plan, the groups, the budget, the histories and the rows of the cache. Other
parts are read at each step and may change from step to step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from unmask.core.arrays import on_host
from unmask.core.network import Denoiser, DenoiserSpec, check_denoiser
from unmask.core.state import State
from unmask.decoding.canvas import Canvas
from unmask.decoding.strategy import Strategy
from unmask.errors import CanvasError, StrategyError


def check_canvas(canvas: object) -> None:
    """Raise CanvasError unless this is a canvas."""
    if not isinstance(canvas, Canvas):
        raise CanvasError(
            f"canvas is a {type(canvas).__name__}: pass Canvas.blank(batch_size, length) or "
            "Canvas.infill(tokens, editable)"
        )


def check_state(state: object) -> None:
    """Raise StrategyError unless this is a state."""
    if not isinstance(state, State):
        raise StrategyError(
            f"state is a {type(state).__name__}: pass what init returns, or the state of a step"
        )


def check_strategy(strategy: object) -> None:
    """Raise StrategyError unless this is a strategy."""
    if not isinstance(strategy, Strategy):
        raise StrategyError(
            f"strategy={strategy!r}: pass a preset that has been called, such as "
            "presets.confidence(steps=16)"
        )


def check_basis(state: State, strategy: Strategy, denoiser: Denoiser) -> None:
    """Raise StrategyError unless the state may go on under this strategy, with this network."""
    if getattr(denoiser, "spec", None) is not state.spec:
        check_denoiser(denoiser)
        _check_ids(state.spec, denoiser.spec)
    if state.basis is strategy.basis or state.basis is None:
        return
    for name, value in strategy.basis.items():
        if value != state.basis[name]:
            raise StrategyError(
                f"the state was begun with {name}={state.basis[name]!r}, and {strategy.name} has "
                f"{name}={value!r}, which cannot change between steps: begin anew from what is "
                "known, init(denoiser, Canvas.infill(state.tokens, state.masked, "
                "valid=state.valid), strategy, seeds)"
            )
    strategy.constraint.check(state.spec.vocab_size)
    strategy.sampling.check(state.spec.vocab_size)
    strategy.order.check_lengths(state.rows.generated_lengths)
    if strategy.guidance is not None:
        strategy.guidance.check_kind(state.condition)


def _check_ids(begun: DenoiserSpec, now: DenoiserSpec) -> None:
    for name in ("vocab_size", "mask_id", "forbidden"):
        was, value = getattr(begun, name), getattr(now, name)
        if was != value:
            raise StrategyError(
                f"the state was begun with a network of {name}={was!r}, and this one has "
                f"{name}={value!r}: go on with a network of the same ids, or begin anew by "
                "init(denoiser, canvas, strategy, seeds)"
            )


def check_blocks(state: State, strategy: Strategy) -> None:
    """Raise StrategyError for a strategy that looks outside the open block.

    A network with `open_block_only` says nothing of other positions. Where its blocks begin behind
    a prompt, given tokens further on raise CanvasError. state: before the first step.
    """
    size = state.spec.block_size
    if not state.spec.open_block_only or size is None:
        return
    if state.spec.block_origin == "prompt":
        _check_nothing_behind(state)
    if state.rows.plan.side_by_side or not _within_blocks(state, size):
        given = "none" if strategy.groups is None else strategy.groups.name
        raise StrategyError(
            f"the denoiser must be decoded in blocks of {size}, left to right, and the groups of "
            f"{strategy.name} are {given}: {_way_out(state.spec)}"
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
    full = replace(state, masked=torch.zeros_like(state.masked))
    watched = strategy.revise.watches(full)
    if watched is not None and bool((watched & ~full.open).any()):
        raise StrategyError(
            f"{type(strategy.revise).__name__} watches blocks that are finished, of which the "
            "denoiser says nothing: watch the open group only (state.open), or use its inner "
            "denoiser"
        )


def _check_nothing_behind(state: State) -> None:
    """Raise CanvasError for a row with given tokens behind its first position to generate."""
    editable = on_host(state.editable)
    behind = np.maximum.accumulate(editable, 1) & ~editable & on_host(state.valid)
    if behind.any():
        row, place = (int(each[0]) for each in behind.nonzero())
        raise CanvasError(
            f"row {int(state.rows.index[row])} has a given token at position {place}, behind "
            "positions to generate, and this network generates canvases behind a prompt alone: "
            "leave out what follows, or fill in by a network with a mask id"
        )


def _way_out(spec: DenoiserSpec) -> str:
    size = spec.block_size
    if spec.block_origin == "prompt":
        return (
            f"pass groups=Groups.blocks({size}, origin='prompt'), as "
            f"presets.diffusion_gemma(block={size}) has them"
        )
    return (
        f"pass groups=Groups.blocks({size}), as presets.sdar(block={size}) has them; to score, or "
        "in another order, use its inner denoiser"
    )


def _within_blocks(state: State, size: int) -> bool:
    """Whether each group lies within one block of `size`, and groups go from left to right."""
    editable, rows = on_host(state.editable), state.rows
    # Without groups all is one group, which must be one block.
    group = np.zeros_like(editable, np.int64) if state.group is None else on_host(state.group)
    origin = rows.first[:, None] if state.spec.block_origin == "prompt" else 0
    block = (np.arange(editable.shape[1])[None] - origin) // size
    of_group = (rows.group_start - origin) // size
    inside = np.take_along_axis(of_group, group, 1) == block
    there = rows.members > 0
    so_far = np.maximum.accumulate(np.where(there, of_group, 0), 1)
    return bool((inside | ~editable).all() and ((of_group == so_far) | ~there).all())
