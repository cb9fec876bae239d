"""The loop's body, on one screen. `init`, `step`, `done` and `finish` are the whole contract.

Shapes: B rows, N positions; b of the B rows are still open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.decoding.ahead import asking, foretold, known
from unmask.decoding.blockwise import check_blocks
from unmask.decoding.canvas import Canvas
from unmask.decoding.faults import first_of, raise_first
from unmask.decoding.feasible import settled
from unmask.decoding.look import given_the_rest, predict, propose
from unmask.decoding.past import nothing_past
from unmask.decoding.planning import planned
from unmask.decoding.seeds import row_seeds
from unmask.decoding.strategy import Strategy
from unmask.decoding.written import written
from unmask.errors import CanvasError, StrategyError
from unmask.head import illegal_ids, mask_id_of
from unmask.host import know, on_host, row_lengths, rows_of, waits
from unmask.inference import evaluating
from unmask.selection import positions
from unmask.types import NEVER, Denoiser, Generation, Proposal, State, StepInfo

UNLIMITED = 2**62  # network passes
Propose = Callable[..., Proposal]  # of what `propose` takes


def step(state: State, denoiser: Denoiser, strategy: Strategy) -> State:
    """The state after one more step of every open row; finished rows neither change nor cost."""
    return state if done(state) else advance(state, denoiser, strategy).state


def advance(
    state: State, denoiser: Denoiser, strategy: Strategy, propose: Propose = propose
) -> StepInfo:
    """`step`, with what is worth seeing of it. At least one row must be open.

    propose: where tokens come from, if not drawn; scoring gives the true ones.
    """
    ahead = known(state, strategy)
    everything = bool(ahead.open.all())
    rows = rows_of(ahead.open, ~state.done)
    part = state if everything else state.take(rows, ahead.begun)
    with evaluating(denoiser):
        info = _advance_open(part, denoiser, strategy, partial(propose, count=ahead.looked))
    after = info.state if everything else state.put(rows, info.state)
    after = replace(after, ahead=ahead.later(after))
    return replace(info, rows=rows, state=after)


def _advance_open(
    state: State, denoiser: Denoiser, strategy: Strategy, propose: Propose
) -> StepInfo:
    # fmt: off
    denoiser     = strategy.guided(denoiser)
    rescore      = partial(given_the_rest, denoiser, strategy, state)
    scope        = strategy.scope(state)                      # the positions in the running
    looked, made = strategy.chosen(state, scope)              # where the head is asked
    prediction   = predict(denoiser, state, strategy.veil)    # one pass of the trunk
    proposal     = propose(prediction, denoiser, strategy, state, looked)
    choice       = made or strategy.choice(state, proposal, scope)  # scores, and what is kept
    change       = strategy.changed(state, proposal, scope, choice.keep, rescore)
    proposal     = settled(prediction, denoiser, strategy, state, proposal, choice.score, change)
    fault        = first_of(state, proposal.fault, choice.fault)
    # fmt: on
    after = written(state, proposal, change, strategy)
    after = replace(after, memory=prediction.memory, fault=fault)
    return StepInfo(
        after, state.row, proposal, choice.score, change.commit, change.remask, change.edit
    )


def init(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Sequence[int] | Tensor
) -> State:
    """The state before the first step. seeds: one integer in [0, 2**63) per row.

    Raises SeedError for other seeds, CanvasError for given ids outside the vocabulary, and
    StrategyError where the pace or a constraint does not fit the canvas, or groups the denoiser.
    """
    batch, length = canvas.shape
    device = getattr(denoiser, "device", None) or canvas.tokens.device
    seeds = row_seeds(canvas, None, seeds).to(device)
    canvas = canvas.to(device)
    if denoiser.vocab_size is not None:
        check_given(canvas, denoiser.vocab_size)
        strategy.constraint.check(batch, length, denoiser.vocab_size)
    count = getattr(strategy.select, "count", positions)
    tokens = canvas.tokens
    if strategy.veil.keeps_draw:
        tokens = tokens.masked_fill(canvas.editable, mask_id_of(denoiser))
    _check_end(denoiser, strategy)
    plan, total = planned(strategy.pace, strategy.groups, canvas.editable, seeds, count)
    group = torch.zeros(length, dtype=torch.int64, device=device)
    group = group if strategy.groups is None else strategy.groups.of(length, device)
    none = torch.zeros(batch, dtype=torch.int64, device=device)
    budget = UNLIMITED if strategy.budget is None else strategy.budget
    cost = getattr(strategy.guided(denoiser), "forwards_per_step", 1)
    if budget < cost:
        raise StrategyError(f"budget={budget}: a step of this strategy takes {cost} network passes")
    remembers = "divergence" in strategy.needs
    table = foretold(strategy, plan, total, canvas.editable, group)
    row = torch.arange(batch, device=device)
    know(row, "value", np.arange(batch))
    valid = _own(canvas.valid)
    row_lengths(valid)  # asked now, so that no step has to
    state = State(
        tokens=tokens,
        masked=canvas.editable,
        editable=canvas.editable,
        valid=valid,
        group=group.expand(batch, length),
        logprob=torch.zeros(batch, length, device=device),
        drawn_logprob=torch.zeros(batch, length, device=device),
        commit_step=torch.full((batch, length), NEVER, device=device),
        row=row,
        seed=seeds,
        step=none,
        forwards=none,
        done=~canvas.editable.any(1),
        plan=plan,
        total=total,
        budget=torch.full_like(none, budget),
        cost=torch.full_like(none, cost),
        place=none,
        fault=none,
        past=nothing_past(batch, length, device) if remembers else None,
        condition=tree_map(_own, canvas.condition),
    )
    check_blocks(denoiser, strategy, state)
    return replace(state, ahead=asking(state, strategy, table))


def _own(leaf: Any) -> Any:
    """The same numbers as an object of this run, by which it is known what they say."""
    return leaf.view_as(leaf) if isinstance(leaf, Tensor) else leaf


def _check_end(denoiser: Denoiser, strategy: Strategy) -> None:
    """Raise StrategyError unless the end of a sequence is an id that may be drawn."""
    end = strategy.end_id
    if end is None or denoiser.vocab_size is None:
        return
    if not 0 <= end < denoiser.vocab_size or end in illegal_ids(denoiser):
        raise StrategyError(
            f"end_id={end} is never drawn from this vocabulary of {denoiser.vocab_size}: pass the "
            "id that ends a sequence in its data"
        )


def check_given(canvas: Canvas, vocab: int) -> None:
    """Raise CanvasError unless every id that the network will be shown is inside the vocabulary."""
    outside = ~canvas.editable & ((canvas.tokens < 0) | (canvas.tokens >= vocab))
    if bool(outside.any()):
        row, position = outside.nonzero()[0].tolist()
        given = bool(canvas.valid[row, position])
        way_out = "or make it editable" if given else "for padding by pad_id=..."
        raise CanvasError(
            f"id {int(canvas.tokens[row, position])} at row {row}, position {position} is outside "
            f"the vocabulary of {vocab}: pass ids from 0 to {vocab - 1}, {way_out}"
        )


def done(state: State) -> bool:
    """Whether every row is finished."""
    ahead = state.ahead if state.ahead and state.ahead.about(state) else None
    over = not (ahead.open.any() if ahead else (~state.done).any())
    # What goes wrong at a fixed pace far from the host has not been looked at before.
    if over and waits(state.fault.device) and not (ahead and ahead.looked_for_faults):
        raise_first(on_host(state.fault), on_host(state.row))
    return over


def finish(state: State) -> Generation:
    """The record of a finished generation; StrategyError while a row has unknown positions."""
    if not done(state):
        unfinished = state.row[~state.done].tolist()
        raise StrategyError(
            f"rows {unfinished} still have unknown positions: step until done(state)"
        )
    return Generation(
        tokens=state.tokens,
        logprob=state.logprob,
        drawn_logprob=state.drawn_logprob,
        commit_step=state.commit_step,
        steps=state.step,
        forwards=state.forwards,
        seeds=state.seed,
        editable=state.editable,
        valid=state.valid,
    )
