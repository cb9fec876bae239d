"""Apply: write a step's change to the canvas and its record, and what the host knows of the rows.

Shapes: B rows, N positions, G groups.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import on_host
from unmask.core.network import Cache
from unmask.core.rows import Rows
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.decoding.ending import fill_after_end
from unmask.decoding.faults import raise_first
from unmask.decoding.growing import grow
from unmask.decoding.strategy import Strategy


def apply_change(
    state: State,
    strategy: Strategy,
    proposal: Proposal,
    change: Change,
    fault: Tensor,
    cache: Cache | None,
) -> tuple[State, Change]:
    """Return the state after the change; one step more for each row, and what it cost.

    And the change, at the positions where it is in that state. fault: (B,) int64, the first fault
    of each row so far.
    """
    carries = {
        name: part.update(state.carries[name], state, proposal, change)
        for name, part in strategy.carriers.items()
    }
    after = _write(state, strategy, proposal, change, fault, carries)
    if strategy.end is not None:
        after = fill_after_end(after, strategy.end)
    if strategy.growth is not None:
        after, change = grow(state, strategy, proposal, after, change)
    if state.exact_counts:
        rows = _rows_by_plan(state.rows)
    else:
        rows = _rows_by_report(after, _report(after, change), strategy.revise.rest_passes)
    forwards = state.rows.forwards + state.rows.forwards_per_step + change.forwards
    finished = rows.unknown == 0
    if strategy.commit.takes_all_steps:
        finished = finished & state.rows.now.is_final_step
    if strategy.revise.rest_passes:
        finished = finished & ~rows.at_rest
    rows = replace(rows, step=rows.step + 1, forwards=forwards, finished=finished)
    after = replace(after, rows=rows, cache=cache)
    changed = np.flatnonzero(rows.length != state.rows.length)
    return after.without_cache(changed) if len(changed) else after, change


def _write(
    state: State,
    strategy: Strategy,
    proposal: Proposal,
    change: Change,
    fault: Tensor,
    carries: dict[str, Any],
) -> State:
    """The tokens, their record, the faults, and the histories."""
    commit, remask, edit = change.commit, change.remask, change.edit
    fresh = commit
    if strategy.noise.keeps_sample:  # unknown positions hold what was last drawn there
        fresh = fresh | (proposal.queried & state.masked)
    token, of_model, of_draw = proposal.token, proposal.logprob, proposal.sampling_logprob
    if strategy.commit.likeliest:
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        token, of_model = proposal.top_token, proposal.top_logprob
        of_draw = torch.zeros_like(of_draw)
    tokens = token.where(fresh, state.tokens)
    masked, known = state.masked ^ commit, commit
    logprob, drawn, step = state.logprob, state.sampling_logprob, state.commit_step
    if remask is not None:
        masked = masked | remask
        logprob, drawn = logprob.masked_fill(remask, 0.0), drawn.masked_fill(remask, 0.0)
        step = step.masked_fill(remask, NEVER)
    if edit is not None:
        assert proposal.top_token is not None
        assert proposal.top_logprob is not None
        tokens = proposal.top_token.where(edit, tokens)
        logprob = proposal.top_logprob.where(edit, logprob)
        drawn, known = drawn.masked_fill(edit, 0.0), commit | edit
    return replace(
        state,
        tokens=tokens,
        masked=masked,
        logprob=of_model.where(commit, logprob),
        sampling_logprob=of_draw.where(commit, drawn),
        commit_step=state.step.unsqueeze(1).where(known, step),
        fault=fault,
        carries=carries,
    )


def _rows_by_plan(rows: Rows) -> Rows:
    """Rows after a step that keeps to the plan; nothing is read from the device."""
    unknown = rows.now.unknown_after
    if rows.plan.side_by_side or rows.members.shape[1] == 1:
        return _move(rows, unknown, rows.open_group, unknown)
    group = np.arange(rows.members.shape[1])
    later = np.where(group > rows.open_group[:, None], rows.members, 0)
    here = unknown - later.sum(1)
    following = np.where(later > 0, group, group[-1]).min(1)
    opened = np.where(here > 0, rows.open_group, following)
    members = rows.members[np.arange(len(rows)), opened]
    return _move(rows, unknown, opened, np.where(here > 0, here, np.where(unknown > 0, members, 0)))


def _report(state: State, change: Change) -> dict[str, np.ndarray]:
    """Counts of each row after a step, (B,) int64, read from the device in one transfer."""
    unknown = state.masked.sum(1)
    counts = {"unknown": unknown, "fault": state.fault}
    if change.edit is not None:
        counts["edited"] = change.edit.sum(1)
    if state.grows:
        counts["length"] = state.valid.sum(1)
    if state.sequential:
        assert state.group is not None
        last = state.group.amax(1, keepdim=True)
        counts["opened"] = state.group.where(state.masked, last).amin(1)
        here = state.group == counts["opened"].unsqueeze(1)
        counts["here"] = (state.masked & here).sum(1)
    report = on_host(torch.stack(list(counts.values())))
    return dict(zip(counts, report, strict=True))


def _rows_by_report(state: State, report: dict[str, np.ndarray], rest_passes: int) -> Rows:
    """Rows after a step, from its report. Raises the first fault."""
    rows, unknown = state.rows, report["unknown"]
    raise_first(report["fault"], rows.index)
    opened, here = report.get("opened", rows.open_group), report.get("here", unknown)
    if not rest_passes:
        rows = replace(rows, length=report.get("length", rows.length))
        return _move(rows, unknown, opened, here)
    # A full group stays open while its last step changed something, and passes are left.
    full = (unknown == 0) | (opened != rows.open_group)
    rested = rows.open_unknown == 0
    passes = np.where(rested, rows.group_rest + 1, 0)
    cost = (rows.now.groups_to_come + 3) * rows.forwards_per_step
    moving = ~rested | (report.get("edited", 0) > 0)
    held = full & moving & (passes < rest_passes) & (rows.forwards + cost <= rows.budget)
    opened, here = np.where(held, rows.open_group, opened), np.where(held, 0, here)
    after = _move(rows, unknown, opened, here)
    return replace(
        after,
        rest=rows.rest + rested,
        group_rest=np.where(held, passes, 0),
        at_rest=held,
        plan_index=np.where(held, rows.plan_index, after.plan_index),
    )


def _move(rows: Rows, unknown: np.ndarray, opened: np.ndarray, here: np.ndarray) -> Rows:
    """Rows with these counts, at the next step of the plan, or the first of a group that opened."""
    index = rows.plan_index + 1
    if not rows.plan.side_by_side:
        start = rows.plan.starts[np.arange(len(rows)), opened]
        index = np.where(opened != rows.open_group, start, index)
    return replace(rows, unknown=unknown, open_group=opened, open_unknown=here, plan_index=index)
