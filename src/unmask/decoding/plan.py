"""The plan of a canvas: what each step of each row may leave unknown, group by group. On the host.

Shapes: B rows, N positions, G groups, P of them side by side, S steps.
"""

from __future__ import annotations

import numpy as np

from unmask.core.rows import Plan


def plan_of(remaining: np.ndarray, total: np.ndarray) -> Plan:
    """The plan of one group of all positions: remaining (B,S), total (B,) steps."""
    width = max(int(total.max()) if total.size else 0, 1)
    step = np.minimum(np.arange(1, width + 1), np.maximum(total, 1)[:, None])
    steps = np.broadcast_to(total[:, None], step.shape)
    return Plan(remaining[:, None], step, steps, np.zeros((len(total), 1), np.int64), total)


def plan_side_by_side(parts: list[tuple[np.ndarray, np.ndarray]]) -> Plan:
    """Every group by its own plan from the first step on."""
    total = np.max([steps for _, steps in parts], axis=0)
    width = max(remaining.shape[1] for remaining, _ in parts)
    wide = [np.pad(part, [(0, 0), (0, width - part.shape[1])]) for part, _ in parts]
    plain = plan_of(wide[0], total)
    starts = np.zeros((len(total), len(parts)), np.int64)
    return Plan(np.stack(wide, 1), plain.step, plain.steps, starts, total, True)


def plan_in_sequence(parts: list[tuple[np.ndarray, np.ndarray]], sizes: list[np.ndarray]) -> Plan:
    """The plans in a row; what later groups hold is still unknown meanwhile."""
    each = np.stack([steps for _, steps in parts], 1)
    total = each.sum(1)
    rows, width = len(total), max(int(total.max()) if total.size else 0, 1)
    remaining = np.zeros((rows, width), np.int64)
    step, steps = np.ones_like(remaining), np.ones_like(remaining)
    starts, later = each.cumsum(1) - each, np.sum(sizes, axis=0)
    for g, (part, taken) in enumerate(parts):
        later = later - sizes[g]
        s = np.arange(1, max(int(taken.max()) if taken.size else 0, 1) + 1)
        here = s <= taken[:, None]  # (B,S of the group)
        row = np.nonzero(here)[0]
        place = (starts[:, g : g + 1] + s - 1)[here]
        table = np.broadcast_to(part, here.shape) if part.shape[1] == 1 else part
        remaining[row, place] = (table[:, : here.shape[1]] + later[:, None])[here]
        step[row, place] = np.broadcast_to(s, here.shape)[here]
        steps[row, place] = np.broadcast_to(taken[:, None], here.shape)[here]
    return Plan(remaining[:, None], step, steps, starts, total)


def is_kept(plan: Plan, members: np.ndarray) -> bool:
    """Whether choosing the planned number of positions keeps to the plan, members (B,G) of groups.

    It does where each step leaves fewer unknown than the one before, all of later groups while
    there are any, and nothing of a group, or of the row, at its end.
    """
    remaining, counts = plan.remaining.sum(1), members
    starts = plan.starts
    if plan.side_by_side:
        counts, starts = counts.sum(1, keepdims=True), starts[:, :1]
    width = remaining.shape[1]
    if width < max(int(plan.total.max()) if plan.total.size else 0, 1):
        return False
    s = np.arange(width)
    before = np.concatenate([counts.sum(1, keepdims=True), remaining[:, :-1]], 1)
    now = (starts[:, None, :] <= s[None, :, None]).sum(2) - 1  # (B,S): the open group
    ahead = np.take_along_axis(counts[:, ::-1].cumsum(1)[:, ::-1] - counts, now, 1)
    ending = np.concatenate([now[:, 1:] != now[:, :-1], np.zeros_like(now[:, :1], bool)], 1)
    running = s < plan.total[:, None]
    ending |= s == plan.total[:, None] - 1
    kept = (before > remaining) & (remaining >= ahead) & (~ending | (remaining == ahead))
    return bool(kept[running].all())
