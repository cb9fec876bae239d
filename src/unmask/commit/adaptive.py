"""Adaptive rules: all positions whose score passes a bound, at least one a step.

Each reads the order's score and ranks the eligible positions. Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.commit.base import Commit
from unmask.core.checks import check_count, check_flag, check_share, is_integer, is_number
from unmask.core.history import LOOK_BACK, ComparesSteps
from unmask.core.ranking import at_least_one, best, descending, highest, log_on_grid, within_bound
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError


class Adaptive(Commit):
    """A rule without a plan: the scores decide how many positions are committed, cap at most."""

    adaptive = True
    grows = True
    cap: int | None

    def _check_cap(self) -> None:
        if self.cap is not None and not is_integer(self.cap, 1):
            raise StrategyError(
                f"cap={self.cap!r}: every step must be able to commit a position: pass 1 or more, "
                "or None"
            )

    def _best(self, count: Tensor, score: Tensor, eligible: Tensor) -> Tensor:
        """The `count` (B,) best eligible positions, at least one and at most cap."""
        return best(score, eligible, count.clamp(min=1, max=self.cap))

    def sure(self, sure: Tensor, score: Tensor, eligible: Tensor) -> Tensor:
        """The best of the positions that are sure (B,N), or of the eligible if none is."""
        keep = at_least_one(sure & eligible, score, eligible)
        return keep if self.cap is None else self._best(keep.sum(1), score, keep)


@dataclass(frozen=True)
class Threshold(Adaptive):
    """All positions with confidence c ≥ threshold, or else the best one (Fast-dLLM 2505.22618).

    c is exp(score), so the order must score by log-probability: `orders.Probability`.
    strict: c > threshold instead (LLaDA 2.1, WINO). cap: at most this many a step.
    """

    threshold: float = 0.9
    strict: bool = False
    cap: int | None = None
    compares = "probability"

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        check_flag("strict", self.strict)
        self._check_cap()

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        floor = log_on_grid(self.threshold)
        sure = score > floor if self.strict else score >= floor
        return self.sure(sure, score, eligible)


@dataclass(frozen=True)
class ThresholdOrShare(Commit):
    """All positions with c > threshold, if at least the step's share, else the best ones.

    c is exp(score), as in `Threshold`. A step's share is block/steps positions, the remainder at
    the first steps, whatever number of a block is unknown (SDAR 2510.06303, dynamic low-confidence
    remasking; LLaDA2.0 2512.15745). threshold=None commits the share alone, SDAR's static rule.
    """

    threshold: float | None = 0.9
    block: int = 4
    steps: int = 4
    adaptive = True

    @property
    def compares(self) -> str | None:
        return None if self.threshold is None else "probability"

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_share("threshold", self.threshold)
        check_count("block", self.block)
        check_count("steps", self.steps)
        if self.steps > self.block:
            raise StrategyError(
                f"steps={self.steps} for a block of {self.block}: pass at most {self.block}, so "
                "that every step commits something"
            )

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        each, more = divmod(self.block, self.steps)
        count = each + (state.group_step <= more).long()
        if self.threshold is not None:  # those above it are the best ones
            sure = score > log_on_grid(self.threshold)  # nowhere else, where the score is -inf
            count = count.maximum(sure.sum(1))
        return highest(score, count) & eligible


@dataclass(frozen=True)
class Factor(Adaptive):
    """The k best, k the largest with (k + 1)(1 − c₍k₎) < factor (Fast-dLLM 2505.22618, eq. 4).

    c is exp(score), as in `Threshold`. The first position that fails is not committed.
    """

    factor: float = 1.0
    cap: int | None = None
    compares = "probability"

    def __post_init__(self) -> None:
        if not (is_number(self.factor) and self.factor > 0):
            raise StrategyError(f"factor={self.factor!r}: pass a number above 0, such as 1.0")
        self._check_cap()

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        ranked = descending(score, eligible)
        k = torch.arange(1, score.shape[1] + 1, device=score.device)
        passing = (k + 1) * -torch.expm1(ranked) < self.factor
        return self._best(passing.long().cumprod(1).sum(1), score, eligible)


@dataclass(frozen=True)
class FrechetProfile(Adaptive):
    """The n best, n the largest with (Σc − (n − 1)) − (1 − c₍n₎) > delta (Fast-dLLM++ 2606.02955).

    Σc − (n − 1) is Fréchet's lower bound of the chance that all n tokens are right. c is
    exp(score), as in `Threshold`. With equal confidences this is `Factor(1 − delta)`.
    """

    delta: float = 0.25
    cap: int | None = None
    compares = "probability"

    def __post_init__(self) -> None:
        if not (is_number(self.delta) and self.delta < 1):
            raise StrategyError(f"delta={self.delta!r}: pass a number below 1, such as 0.25")
        self._check_cap()

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        doubt = -torch.expm1(_descending(score, eligible))
        passing = doubt.cumsum(1) + doubt < 1 - self.delta
        return self._best(_leading(passing), score, eligible)


@dataclass(frozen=True)
class EntropyBound(Adaptive):
    """By entropy ascending, the largest prefix with ΣH − max H ≤ bound (EB-Sampler 2505.24857).

    The order must be `orders.Entropy`, whose score is −H in nats.
    """

    bound: float = 0.1
    cap: int | None = None
    compares = "entropy"

    def __post_init__(self) -> None:
        if not (is_number(self.bound) and self.bound >= 0):
            raise StrategyError(f"bound={self.bound!r}: pass nats ≥ 0, such as 0.1")
        self._check_cap()

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        return self._best(within_bound(score, eligible, self.bound), score, eligible)


@dataclass(frozen=True)
class Stable(ComparesSteps, Adaptive):
    """{c > threshold and KL(now‖before) < divergence for `history` steps}, else the best one.

    KLASS (2511.05664). c is exp(score), as in `Threshold`. The divergence, in nats, is computed
    over the likeliest ids of the step before, with all other ids taken together.
    """

    threshold: float = 0.9
    divergence: float = 0.001
    history: int = 2
    cap: int | None = None
    compares = "probability"

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        if not (is_number(self.divergence) and self.divergence > 0):
            raise StrategyError(f"divergence={self.divergence!r}: pass nats above 0, such as 0.001")
        if not (is_integer(self.history, 1) and self.history <= LOOK_BACK):
            raise StrategyError(f"history={self.history!r}: pass 1 to {LOOK_BACK} steps")
        self._check_cap()

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        assert proposal.history is not None
        recent = proposal.history.divergence[..., : self.history]
        calm = (recent < self.divergence).all(2)
        return self.sure(calm & (score > log_on_grid(self.threshold)), score, eligible)


def _descending(score: Tensor, eligible: Tensor) -> Tensor:
    """(B,N) float64 scores of the eligible, best first, -inf behind them."""
    ranked = score.double().masked_fill(~eligible, -torch.inf)
    return ranked.sort(dim=1, descending=True).values


def _leading(good: Tensor) -> Tensor:
    """(B,N) bool -> (B,): how many lead each row."""
    return good.long().cumprod(1).sum(1)
