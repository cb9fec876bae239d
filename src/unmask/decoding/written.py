"""Writing a step's change down: tokens, record, counters, and rows that have come to an end.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from unmask.decoding.strategy import Strategy
from unmask.pace import kind_of
from unmask.types import NEVER, Change, Proposal, State


def written(state: State, proposal: Proposal, change: Change, strategy: Strategy) -> State:
    """The state after the change; one step more for each row, and what it cost."""
    masked = (state.masked & ~change.commit) | change.remask
    fresh = change.commit
    if strategy.veil.keeps_draw:  # unknown positions hold what was last drawn there
        fresh = fresh | (proposal.looked & state.masked)
    tokens = proposal.token.where(fresh, state.tokens)
    logprob = proposal.logprob.where(change.commit, state.logprob.masked_fill(change.remask, 0.0))
    drawn = state.drawn_logprob.masked_fill(change.remask | change.edit, 0.0)
    if proposal.top_token is not None and proposal.top_logprob is not None:
        tokens = proposal.top_token.where(change.edit, tokens)
        logprob = proposal.top_logprob.where(change.edit, logprob)
    known = state.commit_step.masked_fill(change.remask, NEVER)
    now = state.step.unsqueeze(1).expand_as(tokens)
    after = replace(
        state,
        tokens=tokens,
        masked=masked,
        logprob=logprob,
        drawn_logprob=proposal.drawn_logprob.where(change.commit, drawn),
        commit_step=now.where(change.commit | change.edit, known),
        step=state.step + 1,
        forwards=state.forwards + state.cost + change.forwards,
        past=proposal.past if proposal.past is not None else state.past,
    )
    after = after if strategy.end_id is None else _ended(after, strategy.end_id)
    whole = kind_of(strategy.pace) == "whole"
    finished = ~after.masked.any(1)
    return replace(
        after, done=finished & (state.last if whole else True), place=_place(state, after)
    )


def _place(before: State, after: State) -> Tensor:
    """(B,) int64: the next place in the plan, or where the group begins that has now opened."""
    if before.plan.side_by_side:
        return before.place + 1
    begins = before.plan.begins.gather(1, after.open_group.unsqueeze(1)).squeeze(1)
    return begins.where(after.open_group != before.open_group, before.place + 1)


def _ended(state: State, end_id: int) -> State:
    """Rows in which the end stands with nothing unknown before it: what follows becomes the end."""
    settled = state.masked.long().cumsum(1) == 0
    end = settled & state.editable & (state.tokens == end_id)
    after = (end.long().cumsum(1) - end.long() > 0) & state.editable
    return replace(
        state,
        tokens=state.tokens.masked_fill(after, end_id),
        masked=state.masked & ~after,
        logprob=state.logprob.masked_fill(after, 0.0),
        drawn_logprob=state.drawn_logprob.masked_fill(after, 0.0),
        commit_step=state.commit_step.masked_fill(after, NEVER),
    )
