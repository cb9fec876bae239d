"""Decide: head, draw, score, commit, revise, write. Knows strategies and asks one network's head.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from unmask.constraints import Automaton
from unmask.core.arrays import arange, true_positions, waits
from unmask.core.batches import in_batches
from unmask.core.head import mask_id_of
from unmask.core.network import Cache, Denoiser, Observer, Query
from unmask.core.ranking import as_score, eligible_score, on_grid
from unmask.core.rows import Rows
from unmask.core.state import Change, Proposal, State, StepInfo
from unmask.decoding.apply import apply_change
from unmask.decoding.context import ask, error_context, kind_of, named
from unmask.decoding.faults import first_fault, in_scores, raise_faults
from unmask.decoding.feasibility import enforce_feasibility
from unmask.decoding.growing import waiting
from unmask.decoding.inputs import check_basis
from unmask.decoding.language import enforce_automaton
from unmask.decoding.packing import forward
from unmask.decoding.prepare import prepare
from unmask.decoding.propose import Head, nothing_proposed, propose
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError


class Choice(NamedTuple):
    """The result of an order and a commit rule."""

    score: Tensor  # (B,N) float: higher = known sooner; -inf where not eligible
    keep: Tensor  # (B,N) bool: known after the step
    fault: Tensor | None  # (B,) int64, of scores that are NaN


def decide(
    state: State,
    strategy: Strategy,
    denoiser: Denoiser,
    query: Query,
    hidden: Tensor,
    cache: Cache | None,
    max_rows: int | None = None,
) -> StepInfo:
    """Return the step that hidden (B·K,N,D), the trunk's answer to the query, leads to.

    max_rows: rows of the state in each further pass that a reviser makes; None for no limit.
    """
    check_basis(state, strategy, denoiser)
    eligible = eligible_positions(state, strategy)
    early = choose(state, strategy, nothing_proposed(state), eligible) if strategy.blind else None
    queried, count = queried_positions(state, strategy, eligible, early)
    holds = strategy.revise.remasks or strategy.revise.amends
    holds = holds or (strategy.growth is not None and strategy.growth.reads_known)
    head = Head(state, strategy, denoiser, hidden)
    proposal = propose(head, queried, count=count, holds=holds)
    choice = early or choose(state, strategy, proposal, eligible)
    change = _change(head, eligible, choice.keep, proposal, max_rows)
    if isinstance(strategy.constraint.feasible, Automaton):
        proposal = enforce_automaton(head, proposal, change)
    elif strategy.constraint.feasible is not None:
        proposal = enforce_feasibility(head, proposal, choice.score, change)
    if proposal.observed is not None:
        proposal, cache = _fed_back(head, proposal, cache)
    fault = first_fault(state.fault, proposal.fault, choice.fault)
    after, change = apply_change(state, strategy, proposal, change, fault, cache)
    return StepInfo(after, np.arange(len(state)), proposal, choice.score, change)


def _fed_back(head: Head, proposal: Proposal, cache: Cache | None) -> tuple[Proposal, Cache | None]:
    """The proposal without what a network observed of its logits, and the cache with it."""
    assert proposal.observed is not None
    if cache is not None:
        observed, readings = proposal.observed, head.state.readings
        observed = observed if readings == 1 else observed.repeat_interleave(readings, 0)
        cache = cast("Observer", head.denoiser).feed_back(cache, observed)
    return replace(proposal, observed=None), cache


def eligible_positions(state: State, strategy: Strategy) -> Tensor:
    """(B,N) bool: the positions that compete. At a row's last step, all that is unknown too."""
    revise = strategy.revise
    eligible = ask(revise.eligible, state, what=named("reviser", revise), of=state)
    if not revise.counted:
        eligible = eligible & (state.editable if revise.remasks else state.masked)
    eligible = state.within_open(eligible)
    if (state.sequential or not revise.counted) and state.rows.now.is_final_step.any():
        final = state.is_final_step.unsqueeze(1)
        eligible = torch.where(final, eligible | state.masked, eligible)
    return eligible


def queried_positions(
    state: State, strategy: Strategy, eligible: Tensor, early: Choice | None
) -> tuple[Tensor, int | None]:
    """(B,N) bool: where the head is asked; and how many positions that is, where the host knows.

    All eligible positions, or those that a blind order has chosen already.
    """
    if early is not None:
        return _chosen_early(state, strategy, eligible, early)
    rows, revise, growth = state.rows, strategy.revise, strategy.growth
    if growth is not None:
        if growth.reads_known:
            return state.editable, int((rows.length - rows.first).sum())
        return state.masked, int(rows.unknown.sum())
    queried, counts = eligible, rows.open_unknown
    if revise.remasks:
        counts = rows.now.open_members
        if strategy.order.stored:
            queried, counts = eligible & state.masked, rows.open_unknown
    what = named("reviser", revise)
    watched = ask(revise.watches, state, what=what, of=state, optional=True)
    if watched is not None:
        queried, counts = queried | watched, rows.now.open_members
    return queried, int((counts + _later(rows)).sum()) if revise.counted else None


def _later(rows: Rows) -> np.ndarray:
    """(B,) int64: unknown positions of later groups that are eligible, at a row's last step all."""
    return np.where(rows.now.is_final_step, rows.unknown - rows.open_unknown, 0)


def _chosen_early(
    state: State, strategy: Strategy, eligible: Tensor, early: Choice
) -> tuple[Tensor, int | None]:
    """(B,N) bool: the unknown positions that a blind order has chosen; and how many."""
    rows, exact, counted = state.rows, state.exact_counts, strategy.revise.counted
    if counted and not exact and waits(state.device):
        # More than is needed, and as many as the host knows.
        return eligible & state.masked, int((rows.open_unknown + _later(rows)).sum())
    chosen = early.keep & state.masked if strategy.revise.remasks else early.keep
    return chosen, int((rows.unknown - rows.now.unknown_after).sum()) if exact else None


def choose(state: State, strategy: Strategy, proposal: Proposal, eligible: Tensor) -> Choice:
    """Score the positions, and choose which of the eligible are known afterwards."""
    score = _scores(state, strategy, proposal, eligible)
    fault = in_scores(score, state)
    commit = strategy.commit
    what = named("commit rule", commit)
    keep = ask(commit, score, eligible, state, proposal, what=what, of=state)
    if state.rows.now.ends_group.any():
        keep = keep | state.numbers["ends_group"].unsqueeze(1)
    for rule in (rule for rule in strategy.stopping if rule.fills_groups):
        what = named("stopping rule", rule)
        over = ask(rule, state, proposal, what=what, of=state, shape=(len(state),), optional=True)
        keep = keep if over is None else keep | over.unsqueeze(1)
    if strategy.growth is not None:
        waits = waiting(state, strategy.growth, proposal)
        keep = keep if waits is None else keep & ~waits.unsqueeze(1)
    return Choice(score, keep & eligible, fault)


def _scores(state: State, strategy: Strategy, proposal: Proposal, eligible: Tensor) -> Tensor:
    """The order's score, -inf where not eligible; StrategyError for a wrong shape."""
    with error_context(state.rows, named("order", strategy.order), StrategyError):
        score = strategy.order(state, proposal)
        if not isinstance(score, Tensor) or score.shape != eligible.shape:
            raise StrategyError(
                f"the order returned {kind_of(score)}: return one score per position, "
                f"{tuple(eligible.shape)}"
            )
        score = as_score(score)
        score = score if strategy.order.blind else on_grid(score)
    return eligible_score(score, eligible)


def _change(
    head: Head, eligible: Tensor, keep: Tensor, proposal: Proposal, max_rows: int | None
) -> Change:
    """The positions that become known, unknown or another token."""
    state, revise = head.state, head.strategy.revise
    feasible = head.strategy.constraint.feasible
    change = Change(keep)
    if revise.remasks:
        change = Change(keep & state.masked, eligible > (keep | state.masked))
    if not revise.amends:
        return change
    rest = partial(leave_one_out, head, max_rows=max_rows)
    name = named("reviser", revise)
    with error_context(state.rows, name, StrategyError):
        amended = revise.amend(change, state, proposal, rest)
        if not isinstance(amended, Change):
            raise StrategyError(
                f"{name} returned {kind_of(amended)}: return the change that it is given, or one "
                "made of it by dataclasses.replace"
            )
        if amended.edit is not None and not revise.edits and feasible is not None:
            raise StrategyError(
                f"{name} overwrites tokens, which feasible= may not allow: declare `edits = True` "
                "in its class, and leave feasible= out"
            )
    return amended


def leave_one_out(head: Head, asked: Tensor, max_rows: int | None) -> Tensor:
    """(B,N) float32: log p(token held | the canvas with that one position unknown), 0 elsewhere.

    asked (B,N) bool. One row of a pass for each position: B rows at once, or 8 if that is more, and
    no more than max_rows.
    """
    state, strategy, denoiser = head.state, head.strategy, head.denoiser
    batch = max(8, len(asked))
    batch = batch if max_rows is None else min(batch, max_rows)
    out = torch.zeros(asked.shape, device=asked.device)
    places = true_positions(asked.flatten())
    if not len(places):
        return out
    length = asked.shape[1]

    def alone_known(part: slice) -> Tensor:
        row, position = places[part] // length, places[part] % length
        held = state.take(row.cpu().numpy())
        alone = torch.zeros_like(held.masked)
        alone[arange(len(row), row.device), position] = True
        shown = held.tokens  # noise that shows tokens must not show the token that is scored
        if strategy.noise.keeps_sample:
            shown = shown.masked_fill(alone, mask_id_of(state.spec))
        query = prepare(replace(held, tokens=shown, masked=held.masked | alone), strategy)
        with error_context(held.rows, "the network"):
            hidden, _ = forward(denoiser, query, held.cache)
        there = Head(held, strategy, denoiser, hidden)
        proposal = propose(there, alone, count=len(row), holds=True)
        raise_faults(proposal.fault, held)
        return proposal.logprob.sum(1)  # 0 elsewhere

    out.view(-1)[places] = in_batches(alone_known, len(places), batch)
    return out
