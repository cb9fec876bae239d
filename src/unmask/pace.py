"""Pace: how many positions a row may still have unknown after each of its steps.

A pace turns (unknown positions, steps) into exact integers, row by row, before the first forward.
Every planned step commits at least one position, so no forward is spent on nothing: a row with U
unknown positions takes min(steps, U) steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unmask.errors import StrategyError

# Rounding, not policy: N·γ(s/T) that is a whole number in exact arithmetic must not fall below it.
_ROUNDING = 1e-9


class Pace(Protocol):
    """Plans a batch: unknown (B,) int64 -> (plan (B,S), total (B,)), both int64 on the same device.

    plan[b, s] is how many positions of row b may be unknown after its step s (from 0), and is 0
    from step total[b] − 1 on.
    """

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Scheduled:
    """After step s of T, ⌊U·γ(s/T)⌋ unknown, held between T − s and one less than before.

    That is MaskGIT's clamp (2202.04200) with T replaced by min(T, U), for any mask ratio γ. `steps`
    is one number, or one per row.
    """

    ratio: Callable[[Tensor], Tensor]
    steps: int | Sequence[int]

    def __post_init__(self) -> None:
        listed = isinstance(self.steps, Sequence) and not isinstance(self.steps, str)
        each = list(self.steps) if listed else [self.steps]  # type: ignore[arg-type]
        bad = [s for s in each if isinstance(s, bool) or not isinstance(s, int) or s < 1]
        if bad or not each:
            raise StrategyError(f"steps={self.steps!r}: pass an integer of 1 or more, or one a row")

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.minimum(self._steps_per_row(unknown), unknown)
        width = int(total.max()) if total.numel() else 0
        plan = torch.empty(len(unknown), max(width, 1), dtype=torch.int64, device=unknown.device)
        before = unknown
        for s in range(1, plan.shape[1] + 1):
            left = (total - s).clamp(min=0)
            r = (s / total.clamp(min=1).double()).clamp(max=1.0)
            wanted = (unknown * self.ratio(r) + _ROUNDING * (unknown + 1)).floor().long()
            # Where s is past a row's last step, `left` and `before` are 0 and so is the plan.
            before = torch.minimum(torch.maximum(wanted, left), (before - 1).clamp(min=0))
            before = torch.where(left == 0, 0, before)
            plan[:, s - 1] = before
        return plan, total

    def _steps_per_row(self, unknown: Tensor) -> Tensor:
        if isinstance(self.steps, int):
            return torch.full_like(unknown, self.steps)
        if len(self.steps) != len(unknown):
            raise StrategyError(
                f"steps has {len(self.steps)} entries for {len(unknown)} rows: pass one integer "
                "for all rows, or exactly one per row"
            )
        return torch.tensor(list(self.steps), dtype=torch.int64, device=unknown.device)


@dataclass(frozen=True)
class Explicit:
    """Commit these many positions at each step: counts[s] ≥ 1, their sum the row's unknowns."""

    counts: Sequence[int]

    def __post_init__(self) -> None:
        if not isinstance(self.counts, Sequence) or isinstance(self.counts, str):
            raise StrategyError(
                f"counts={self.counts!r}: pass a list in which every step must commit 1 or more"
            )
        bad = [c for c in self.counts if isinstance(c, bool) or not isinstance(c, int) or c < 1]
        if bad or not self.counts:
            raise StrategyError(f"counts={list(self.counts)!r}: every step must commit 1 or more")

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        committed = torch.tensor(list(self.counts), device=unknown.device).cumsum(0)
        open_rows = unknown > 0
        wrong = open_rows & (unknown != committed[-1])
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise StrategyError(
                f"counts={list(self.counts)!r} commit {int(committed[-1])} positions but row {row} "
                f"has {int(unknown[row])} unknown: make them equal, or pace by a schedule"
            )
        plan = (unknown.unsqueeze(1) - committed).clamp(min=0)
        return plan, torch.where(open_rows, len(self.counts), 0)


@dataclass(frozen=True)
class OneAtATime:
    """One position a step, as many forwards as unknown positions: exact with a state-only order."""

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        width = max(int(unknown.max()) if unknown.numel() else 0, 1)
        taken = torch.arange(1, width + 1, device=unknown.device)
        return (unknown.unsqueeze(1) - taken).clamp(min=0), unknown.clone()
