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
from unmask.random import reveal_uniform

# Rounding, not policy: N·γ(s/T) that is a whole number in exact arithmetic must not fall below it.
_ROUNDING = 1e-9

Steps = int | Sequence[int]


class Pace(Protocol):
    """Plans a batch: unknown (B,) int64 -> (plan (B,S), total (B,)), both int64 on the same device.

    plan[b, s] is how many positions of row b may be unknown after its step s (from 0), and is 0
    from step total[b] − 1 on. Two optional attributes are read: `by_position`, a method for paces
    that depend on which positions are unknown and on seeds; and `kind`: "adaptive" where a
    selection decides, "whole" where rows take all steps even if nothing is unknown in between.
    """

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]: ...


def kind_of(pace: Pace) -> str:
    """How a pace plans: "planned" unless it says "adaptive" or "whole"."""
    return str(getattr(pace, "kind", "planned"))


@dataclass(frozen=True)
class Scheduled:
    """After step s of T, ⌊U·γ(s/T)⌋ unknown, held between T − s and one less than before.

    That is MaskGIT's clamp (2202.04200) with T replaced by min(T, U), for any mask ratio γ. `steps`
    is one number, or one per row. lift is added before rounding down (ESM3 adds 0.1).
    """

    ratio: Callable[[Tensor], Tensor]
    steps: Steps
    lift: float = 0.0

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.minimum(_steps_per_row(self.steps, unknown), unknown)
        width = int(total.max()) if total.numel() else 0
        plan = torch.empty(len(unknown), max(width, 1), dtype=torch.int64, device=unknown.device)
        before = unknown
        for s in range(1, plan.shape[1] + 1):
            left = (total - s).clamp(min=0)
            r = (s / total.clamp(min=1).double()).clamp(max=1.0)
            lift = self.lift + _ROUNDING * (unknown + 1)
            wanted = (unknown * self.ratio(r) + lift).floor().long()
            # Where s is past a row's last step, `left` and `before` are 0 and so is the plan.
            before = torch.minimum(torch.maximum(wanted, left), (before - 1).clamp(min=0))
            before = torch.where(left == 0, 0, before)
            plan[:, s - 1] = before
        return plan, total


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


@dataclass(frozen=True)
class Even:
    """As many at each step as at any other, the remainder at the first ones (LLaDA 2502.09992)."""

    steps: Steps

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.minimum(_steps_per_row(self.steps, unknown), unknown)
        taken = torch.arange(1, max(int(total.max()) if total.numel() else 0, 1) + 1).to(unknown)
        each, more = unknown // total.clamp(min=1), unknown % total.clamp(min=1)
        committed = taken * each.unsqueeze(1) + torch.minimum(taken, more.unsqueeze(1))
        return (unknown.unsqueeze(1) - committed).clamp(min=0), total


@dataclass(frozen=True)
class Adaptive:
    """No plan: a selection decides how many, at least one a step. `Strategy.budget` caps a row."""

    kind = "adaptive"

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        return unknown.new_zeros(len(unknown), 1), unknown


@dataclass(frozen=True)
class WholeLength:
    """Exactly `steps` steps, which a selection fills as it will (ReMDM 2503.00307)."""

    steps: Steps
    kind = "whole"

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        total = _steps_per_row(self.steps, unknown) * (unknown > 0)
        return unknown.new_zeros(len(unknown), 1), total


@dataclass(frozen=True)
class Ancestral:
    """Each position is revealed at a time of its own: the ancestral sampler (MDLM 2406.07524).

    It is unknown while its uniform lies below γ(s/T), so that from step to step it is revealed with
    probability (m_t − m_s)/m_t. Steps that reveal nothing are not taken. `ordering.RevealTime` is
    the order that goes with it.
    """

    ratio: Callable[[Tensor], Tensor]
    steps: Steps

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        raise StrategyError(
            "pace.Ancestral reveals each position at its own time, so it cannot plan groups: use "
            "it without groups, or pace.Scheduled with them"
        )

    def by_position(self, unknown: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """unknown (B,N) bool, seed (B,) -> (plan (B,S), total (B,))."""
        steps = _steps_per_row(self.steps, unknown.sum(1))
        most = max(int(steps.max()) if steps.numel() else 0, 1)
        s = torch.arange(1, most + 1, device=unknown.device).expand(len(unknown), -1)
        r = (s.double() / steps.unsqueeze(1).double()).clamp(max=1.0)
        m = self.ratio(r).masked_fill(s >= steps.unsqueeze(1), 0.0)
        hidden = reveal_uniform(seed.to(unknown.device), unknown.shape[1]).masked_fill(
            ~unknown, -1.0
        )
        left = (hidden.unsqueeze(1) < m.unsqueeze(2)) & unknown.unsqueeze(1)  # (B,S,N)
        counts = left.sum(2)
        before = torch.cat([unknown.sum(1, keepdim=True), counts[:, :-1]], 1)
        taken = counts < before
        # The steps that reveal something, moved to the front.
        total = taken.sum(1)
        order = (~taken).long().argsort(dim=1, stable=True)
        plan = counts.gather(1, order).masked_fill(s > total.unsqueeze(1), 0)
        return plan[:, : max(int(total.max()) if total.numel() else 0, 1)], total


@dataclass(frozen=True)
class ByGroup:
    """A pace for each group, the last one for all further groups (SoundStorm's 16, 1, 1, ...)."""

    paces: Sequence[Pace]

    def __post_init__(self) -> None:
        if not self.paces:
            raise StrategyError("pace.ByGroup needs at least one pace, such as Scheduled(...)")

    def __call__(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Without groups all positions are of the first."""
        return self.paces[0](unknown)

    def of_group(self, group: int) -> Pace:
        """The pace of a group, counted from 0."""
        return self.paces[min(group, len(self.paces) - 1)]


def _check_steps(steps: Steps) -> None:
    listed = isinstance(steps, Sequence) and not isinstance(steps, str)
    each = list(steps) if listed else [steps]  # type: ignore[arg-type]
    bad = [s for s in each if isinstance(s, bool) or not isinstance(s, int) or s < 1]
    if bad or not each:
        raise StrategyError(f"steps={steps!r}: pass an integer of 1 or more, or one a row")


def _steps_per_row(steps: Steps, unknown: Tensor) -> Tensor:
    if isinstance(steps, int):
        return torch.full_like(unknown, steps)
    if len(steps) != len(unknown):
        raise StrategyError(
            f"steps has {len(steps)} entries for {len(unknown)} rows: pass one integer "
            "for all rows, or exactly one per row"
        )
    return torch.tensor(list(steps), dtype=torch.int64, device=unknown.device)
