"""The plan of a canvas: what each step of each row may leave unknown, group by group.

Shapes: B rows, N positions, G groups, P of them side by side, S steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unmask.grouping import Groups
from unmask.pace import ByGroup, Pace
from unmask.types import Plan

Count = Callable[[Tensor], Tensor]  # (B,N) bool -> (B,) int64: how many units are in there


def planned(
    pace: Pace, groups: Groups | None, editable: Tensor, seed: Tensor, count: Count
) -> tuple[Plan, Tensor]:
    """The plan of rows with these positions to generate, and the steps of each, (B,) int64."""
    by_position = getattr(pace, "by_position", None)
    if groups is None and by_position is not None:
        left, total = by_position(editable, seed)
        return _plain(left, total), total
    if groups is None:
        left, total = pace(count(editable))
        return _plain(left, total), total
    group = groups.of(editable.shape[1], editable.device)
    members = [editable & (group == g) for g in range(int(group.max()) + 1)]
    parts = [_of(pace, g)(count(member)) for g, member in enumerate(members)]
    if groups.parallel:
        return _side_by_side(parts)
    return _one_after_the_other(parts, [count(member) for member in members])


def _of(pace: Pace, group: int) -> Pace:
    return pace.of_group(group) if isinstance(pace, ByGroup) else pace


def _plain(left: Tensor, total: Tensor) -> Plan:
    width = max(int(total.max()) if total.numel() else 0, 1)
    at = torch.arange(1, width + 1, device=total.device).expand(len(total), -1)
    at = torch.minimum(at, total.clamp(min=1).unsqueeze(1))
    begins = torch.zeros_like(total).unsqueeze(1)
    return Plan(left.unsqueeze(1), at, total.unsqueeze(1).expand_as(at), begins)


def _side_by_side(parts: list[tuple[Tensor, Tensor]]) -> tuple[Plan, Tensor]:
    """Every group by its own plan from the first step on."""
    total = torch.stack([steps for _, steps in parts]).amax(0)
    width = max(left.shape[1] for left, _ in parts)
    lefts = [torch.nn.functional.pad(left, (0, width - left.shape[1])) for left, _ in parts]
    plain = _plain(lefts[0], total)
    begins = torch.zeros_like(total).unsqueeze(1).expand(-1, len(parts))
    return plain._replace(left=torch.stack(lefts, 1), begins=begins), total


def _one_after_the_other(
    parts: list[tuple[Tensor, Tensor]], counts: list[Tensor]
) -> tuple[Plan, Tensor]:
    """The plans in a row; what later groups hold is still unknown meanwhile."""
    total = torch.stack([steps for _, steps in parts]).sum(0)
    width = max(int(total.max()) if total.numel() else 0, 1)
    left, at = total.new_zeros(len(total), width), total.new_ones(len(total), width)
    of = total.new_ones(len(total), width)
    begun, later = torch.zeros_like(total), torch.stack(counts).sum(0)
    for (part, steps), unknown in zip(parts, counts, strict=True):
        later = later - unknown
        most = max(int(steps.max()) if steps.numel() else 0, 1)
        s = torch.arange(1, most + 1, device=total.device)
        here = s <= steps.unsqueeze(1)  # (B,S of the group)
        row = torch.arange(len(total), device=total.device).unsqueeze(1).expand_as(here)[here]
        place = (begun.unsqueeze(1) + s - 1)[here]
        plan = part.expand(-1, here.shape[1]) if part.shape[1] == 1 else part
        left[row, place] = (plan[:, : here.shape[1]] + later.unsqueeze(1))[here]
        at[row, place] = s.expand_as(here)[here]
        of[row, place] = steps.unsqueeze(1).expand_as(here)[here]
        begun = begun + steps
    steps = torch.stack([each for _, each in parts], 1)
    return Plan(left.unsqueeze(1), at, of, steps.cumsum(1) - steps), total
