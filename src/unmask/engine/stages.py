"""Groups one after the other, each by a strategy of its own.

Where the groups differ only in how many steps they take, `Strategy.groups` with `commit.ByGroup`
does it in one generation. Here the rules differ too: codebook levels of which the first is drawn by
MaskGIT's rule and the others greedily, say. Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unmask.core.generation import Generation
from unmask.core.head import mask_id_of
from unmask.core.network import Denoiser, check_denoiser
from unmask.core.random import fold
from unmask.core.state import NEVER
from unmask.decoding import Canvas, Strategy, init, row_seeds
from unmask.decoding.inputs import check_canvas, check_strategy
from unmask.engine.engine import Engine
from unmask.engine.run import complete
from unmask.errors import StrategyError
from unmask.groups import Groups


def run_stages(
    denoiser: Denoiser,
    canvas: Canvas,
    groups: Groups,
    strategies: Sequence[Strategy],
    *,
    seed: int | None = None,
    seeds: Sequence[int] | Tensor | None = None,
) -> Generation:
    """Generate group 0 by the first strategy, then group 1 by the second, and so on.

    While a group is generated, later ones are shown as the mask id and not changed. The last
    strategy serves all further groups. The record is that of one generation: steps go on counting
    from stage to stage. Raises as `generate` does, and StrategyError where there are more
    strategies than groups, or the groups do not fit the rows.
    """
    check_denoiser(denoiser)
    check_canvas(canvas)
    if not isinstance(groups, Groups):
        raise StrategyError(f"groups={groups!r}: pass a Groups, such as Groups.levels(4)")
    if not isinstance(strategies, Sequence):
        raise StrategyError(f"strategies={strategies!r}: pass a list, one strategy for each group")
    for strategy in strategies:
        check_strategy(strategy)
    canvas = canvas.to(denoiser.device or canvas.tokens.device)
    group = groups.of(canvas.editable)
    stages = int(group.max()) + 1
    _check_fit(canvas, groups, strategies, stages)
    _check_readers(strategies, denoiser.spec.inputs)
    root = row_seeds(canvas, seed, seeds)
    tokens = canvas.tokens.masked_fill(canvas.editable, mask_id_of(denoiser.spec))
    done: Generation | None = None
    for stage in range(stages):
        here = canvas.editable & (group == stage)
        required = canvas.required
        if required is not None:  # in later groups, of positions that count as known till then
            required = required.expand(canvas.shape).masked_fill(~here, -1)
        given = replace(canvas, tokens=tokens, editable=here, required=required)
        strategy = strategies[min(stage, len(strategies) - 1)]
        state = init(denoiser, given, strategy, fold(root, torch.full_like(root, stage)))
        part = complete(Engine(denoiser), state, strategy)
        done, tokens = part if done is None else _merge(done, part), part.tokens
    assert done is not None
    return replace(done, seeds=root.to(tokens.device), editable=canvas.editable)


def _check_fit(canvas: Canvas, groups: Groups, strategies: Sequence[Strategy], stages: int) -> None:
    """Raise StrategyError unless there can be a stage for each group."""
    groups.check_lengths(canvas.generated_lengths)
    if not strategies or len(strategies) > stages:
        raise StrategyError(
            f"{len(strategies)} strategies for {stages} groups: pass one for each group, or fewer, "
            "of which the last serves all further groups"
        )
    ended = next((s.name for s in strategies if s.end_id is not None), None)
    if groups.side_by_side or ended is not None:
        what = "groups side by side" if groups.side_by_side else f"EndOfSequence of {ended}"
        raise StrategyError(
            f"{what}: stages come one after the other and each fills its whole group; use "
            "Strategy.groups in one generation"
        )


def _check_readers(strategies: Sequence[Strategy], inputs: frozenset[str]) -> None:
    """Raise StrategyError where something reads which positions are unknown."""
    hooked = any(s.constraint.feasible is not None for s in strategies)
    if hooked or "masked" in inputs:
        what = "feasible= reads" if hooked else "the network is told"
        raise StrategyError(
            f"{what} which positions are unknown, and in a stage those of later groups count as "
            "known: use Strategy.groups in one generation"
        )


def _merge(done: Generation, part: Generation) -> Generation:
    """The record with one stage more."""
    here, before = part.editable, done.steps.unsqueeze(1)
    committed = part.commit_step.where(part.commit_step == NEVER, part.commit_step + before)
    return replace(
        done,
        tokens=part.tokens,
        logprob=part.logprob.where(here, done.logprob),
        sampling_logprob=part.sampling_logprob.where(here, done.sampling_logprob),
        commit_step=committed.where(here, done.commit_step),
        steps=done.steps + part.steps,
        forwards=done.forwards + part.forwards,
    )
