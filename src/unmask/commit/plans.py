"""Exact integer plans: how many positions a row may still have unknown after each of its steps.

A plan turns (unknown positions, steps) into integers, row by row, before the first forward. Every
planned step commits at least one position, so no forward is wasted: a row with U unknown positions
takes min(steps, U) steps. Computed on the host. Shapes: B rows, N positions, S steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch

from unmask.core.checks import MOST, check_count, check_share, first_of_other_length, is_number
from unmask.core.ids import as_ids
from unmask.core.random import reveal_uniform
from unmask.errors import StrategyError
from unmask.schedules import AnySchedule, resolve

# Rounding, not policy: N·γ(s/T) that is a whole number in exact arithmetic must not fall below it.
_ROUNDING = 1e-9

MOST_STEPS = 10**6
"""The steps of a plan that lists them all, however few positions are unknown."""

Planned = tuple[np.ndarray, np.ndarray]
"""remaining (B,S) and total (B,), both int64.

remaining[b, s] is how many positions of row b may be unknown after its step s (from 0), and is 0
from step total[b] − 1 on.
"""

Steps = np.ndarray | None
"""The steps of each row, (B,), that a canvas sets; None: those of the plan."""


class CountPlan(ABC):
    """Base of plans: how many positions may be unknown after each step."""

    @property
    def takes_steps(self) -> bool:
        """Whether the plan has a number of steps, which a canvas may replace row by row."""
        return False

    @abstractmethod
    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        """Plan rows with `unknown` (B,) positions. steps: (B,) in place of the plan's own."""

    def by_position(self, unknown: np.ndarray, seed: np.ndarray, steps: Steps = None) -> Planned:
        """Plan rows by which positions are unknown, (B,N) bool, and by seeds (B,)."""
        return self(unknown.sum(1), steps)

    def of_group(self, group: int) -> CountPlan:
        """Return the plan of a group, counted from 0."""
        return self

    def steps_of_group(self, group: int, steps: Steps) -> Steps:
        """Return the steps (B,) of a group, given those that a canvas sets for its rows."""
        return steps


class _Stepped(CountPlan):
    """Base of plans with a number of steps. most: how many there may be."""

    takes_steps = True
    steps: int
    most: ClassVar[int] = MOST

    def __post_init__(self) -> None:
        if isinstance(self.steps, Sequence) and not isinstance(self.steps, str):
            raise StrategyError(
                f"steps={self.steps!r}: pass one integer here; to give each row its own steps, "
                "pass them to the canvas, as in Canvas.blank(2, 8, steps=[4, 6])"
            )
        check_count("steps", self.steps)
        self._steps(np.ones(1, np.int64))

    def _steps(self, unknown: np.ndarray, steps: Steps = None) -> np.ndarray:
        """(B,): the steps of rows with `unknown` (B,) positions."""
        own = np.full_like(unknown, self.steps) if steps is None else steps
        if (own > self.most).any():
            raise StrategyError(
                f"steps={own.max()}: {type(self).__name__} lists every step beforehand, "
                f"{self.most:,} at most: pass fewer, such as steps=1000"
            )
        return own


@dataclass(frozen=True)
class Scheduled(_Stepped):
    """After step s of T, ⌊U·γ(s/T)⌋ positions unknown, at least T − s, fewer than before.

    That is MaskGIT's clamp (2202.04200) with T replaced by min(T, U), for any mask ratio γ.
    schedule: a `Schedule`, a name or a function. lift: added before rounding down, in [0, 1)
    (ESM3: 0.1).
    """

    schedule: AnySchedule
    steps: int
    lift: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.lift) and 0 <= self.lift < 1):
            raise StrategyError(
                f"lift={self.lift!r}: pass a number in [0, 1), part of a position, such as 0.1"
            )
        object.__setattr__(self, "schedule", resolve(self.schedule))

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        total = np.minimum(self._steps(unknown, steps), unknown)
        n, s = unknown[:, None], np.arange(1, _width(total) + 1)
        time = np.minimum(s / np.maximum(total, 1)[:, None], 1.0)
        # A schedule of one's own may know vectors alone.
        flat = resolve(self.schedule)(torch.from_numpy(time.reshape(-1)))
        ratio = flat.numpy().reshape(time.shape)
        wanted = np.floor(n * ratio + (self.lift + _ROUNDING * (n + 1))).astype(np.int64)
        left = np.maximum(total[:, None] - s, 0)
        # Fewer than after any step before, by one for each step since.
        most = np.minimum.accumulate(np.maximum(wanted, left) + s, axis=1)
        return np.where(left > 0, np.minimum(most, n) - s, 0), total


@dataclass(frozen=True)
class Explicit(CountPlan):
    """counts[s] positions at step s: integers ≥ 1, whose sum is the row's unknown positions."""

    counts: Sequence[int]

    def __post_init__(self) -> None:
        counts = as_ids("counts", self.counts, what="counts, as every step must commit 1 or more")
        if not counts or min(counts) < 1:
            raise StrategyError(f"counts={list(counts)}: every step must commit 1 or more")
        object.__setattr__(self, "counts", counts)

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        committed = np.cumsum(self.counts)
        row = first_of_other_length(unknown, committed[-1])
        if row is not None:
            raise StrategyError(
                f"counts={list(self.counts)!r} commit {int(committed[-1])} positions but row {row} "
                f"has {int(unknown[row])} unknown: make them equal, or plan by a schedule"
            )
        remaining = np.maximum(unknown[:, None] - committed, 0)
        return remaining, np.where(unknown > 0, len(self.counts), 0)


@dataclass(frozen=True)
class OneAtATime(CountPlan):
    """One position a step. Exact if the order does not read the token drawn."""

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        taken = np.arange(1, _width(unknown) + 1)
        return np.maximum(unknown[:, None] - taken, 0), unknown.copy()


@dataclass(frozen=True)
class Even(_Stepped):
    """U/T positions at each of T steps, the remainder at the first ones (LLaDA 2502.09992)."""

    steps: int

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        total = np.minimum(self._steps(unknown, steps), unknown)
        taken = np.arange(1, _width(total) + 1)
        each, more = np.divmod(unknown, np.maximum(total, 1))
        committed = taken * each[:, None] + np.minimum(taken, more[:, None])
        return np.maximum(unknown[:, None] - committed, 0), total


@dataclass(frozen=True)
class Remaining(_Stepped):
    """⌊n·(1 − s/t)⌋ of the n still unknown at each step, and all at the last (Dream 2508.15487).

    t falls from 1 to epsilon in `steps` equal parts; s is the t of the next step. Steps that would
    commit nothing are not taken. Computed in float32, as in the authors' code, because rounding
    affects the counts.
    """

    steps: int
    epsilon: float = 1e-3
    most = MOST_STEPS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("epsilon", self.epsilon)

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        row = cache(self._row)
        return _listed(list(map(row, unknown.tolist(), self._steps(unknown, steps).tolist())))

    def _row(self, unknown: int, steps: int) -> list[int]:
        """Return the unknown positions after each step that commits one or more."""
        times = torch.linspace(1, self.epsilon, steps + 1)
        shares = (1 - times[1:] / times[:-1]).numpy()
        left, plan = unknown, list[int]()
        for step, share in enumerate(shares, 1):
            count = left if step == steps else int(np.float32(left) * share)
            left -= count
            plan += [left] if count else []
        return plan


@dataclass(frozen=True)
class Ancestral(_Stepped):
    """Each position is revealed at a random time: the ancestral sampler (MDLM 2406.07524).

    A position stays unknown while its uniform is below γ(s/T), so that each step reveals it with
    probability (m_t − m_s)/m_t. Steps that reveal nothing are not taken. Use it with the order
    `orders.RevealTime`. epsilon: time ends at 1 − epsilon, at which all positions still unknown are
    revealed (Dream 2508.15487: 1e-3).
    """

    schedule: AnySchedule
    steps: int
    epsilon: float = 0.0
    most = MOST_STEPS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("epsilon", self.epsilon)
        object.__setattr__(self, "schedule", resolve(self.schedule))

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        raise StrategyError(
            "commit.Ancestral reveals each position at a random time, so it cannot plan groups: "
            "leave groups= out, or use commit.Scheduled"
        )

    def by_position(self, unknown: np.ndarray, seed: np.ndarray, steps: Steps = None) -> Planned:
        reveal = reveal_uniform(torch.from_numpy(seed), unknown.shape[1]).numpy()
        ratio, plans = cache(self._ratio), list[list[int]]()
        for at, where, total in zip(
            reveal, unknown, self._steps(unknown.sum(1), steps), strict=True
        ):
            left = np.unique(np.sort(at[where]).searchsorted(ratio(int(total))))
            plans.append([count for count in left[::-1].tolist() if count < where.sum()])
        return _listed(plans)

    def _ratio(self, steps: int) -> np.ndarray:
        """(steps,): γ after each step, and 0 after the last."""
        time = np.arange(1, steps + 1) / steps * (1 - self.epsilon)
        ratio: np.ndarray = resolve(self.schedule)(torch.from_numpy(time)).numpy()
        ratio[-1] = 0
        return ratio


@dataclass(frozen=True)
class ByGroup(CountPlan):
    """A plan for each group, the last one for all further groups (SoundStorm's 16, 1, 1, ...)."""

    plans: Sequence[CountPlan]

    def __post_init__(self) -> None:
        if not isinstance(self.plans, Sequence) or not self.plans:
            raise StrategyError(
                f"plans={self.plans!r}: commit.ByGroup needs at least one plan, such as "
                "[commit.Scheduled('cosine', 16), commit.Even(1)]"
            )
        for i, plan in enumerate(self.plans):
            if not isinstance(plan, CountPlan) or isinstance(plan, NoPlan | AllSteps):
                raise StrategyError(
                    f"plans[{i}]={plan!r}: pass a plan of counts, such as "
                    "commit.Scheduled('cosine', 16)"
                )
        object.__setattr__(self, "plans", tuple(self.plans))

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        """Plan rows without groups by the plan of the first group."""
        return self.plans[0](unknown, steps)

    def of_group(self, group: int) -> CountPlan:
        return self.plans[min(group, len(self.plans) - 1)]

    def steps_of_group(self, group: int, steps: Steps) -> Steps:
        return steps if group == 0 else None

    @property
    def takes_steps(self) -> bool:
        return self.plans[0].takes_steps


@dataclass(frozen=True)
class NoPlan(CountPlan):
    """No plan: an adaptive rule decides the counts, at least one position a step."""

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        return np.zeros((len(unknown), 1), np.int64), unknown


@dataclass(frozen=True)
class AllSteps(_Stepped):
    """Exactly `steps` steps, whose counts the commit rule decides (ReMDM 2503.00307)."""

    steps: int
    most = MOST_STEPS

    def __call__(self, unknown: np.ndarray, steps: Steps = None) -> Planned:
        total = self._steps(unknown, steps) * (unknown > 0)
        return np.zeros((len(unknown), 1), np.int64), total


def as_plan(plan: CountPlan | AnySchedule, steps: int | None) -> CountPlan:
    """Return a plan unchanged, or a schedule with `steps` as `Scheduled`.

    Raises StrategyError for a plan that cannot give counts, or steps given twice or not at all.
    """
    if isinstance(plan, CountPlan):
        if isinstance(plan, NoPlan | AllSteps):
            raise StrategyError(
                f"plan={plan!r} gives no counts: pass a plan of how many positions are known after "
                "each step, as in commit.TopK(commit.Even(12))"
            )
        if steps is not None:
            raise StrategyError(
                f"{plan!r} is a plan with steps of its own: leave steps={steps!r} out, or pass a "
                "schedule, as in commit.TopK('cosine', 12)"
            )
        return plan
    if steps is None:
        raise StrategyError(
            "steps=None: pass an integer of 1 or more beside the schedule, as in "
            "commit.TopK('cosine', 12), or a plan, as in commit.TopK(commit.OneAtATime())"
        )
    return Scheduled(resolve(plan), steps)


def _listed(plans: list[list[int]]) -> Planned:
    """Return plans of rows, each a list of what is unknown after each step that is taken."""
    total = np.array([len(plan) for plan in plans], np.int64)
    remaining = np.zeros((len(plans), _width(total)), np.int64)
    for row, plan in zip(remaining, plans, strict=True):
        row[: len(plan)] = plan
    return remaining, total


def _width(total: np.ndarray) -> int:
    return max(int(total.max(initial=0)), 1)
