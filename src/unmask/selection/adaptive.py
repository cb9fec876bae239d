"""Adaptive selections: as many positions as the network is sure of, at least one a step.

All read the order's score and rank inside scope. Shapes: B rows, N positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.checks import check_share, is_number
from unmask.errors import StrategyError
from unmask.ranking import at_least_one, best
from unmask.types import Proposal, State

_LOWEST = float("-inf")


@dataclass(frozen=True)
class Threshold:
    """All positions with confidence c ≥ threshold, or else the best one (Fast-dLLM 2505.22618).

    c is exp(score), so the order must score by log-probability: `ordering.Probability`.
    strict: c > threshold instead (LLaDA 2.1, WINO). cap: at most this many a step.
    """

    threshold: float = 0.9
    strict: bool = False
    cap: int | None = None
    reads = "probability"
    pace = "adaptive"

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        _check_cap(self.cap)

    def __call__(self, score: Tensor, scope: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,N) bool."""
        floor = math.log(self.threshold) if self.threshold > 0 else _LOWEST
        sure = score > floor if self.strict else score >= floor
        return _capped(sure & scope, score, scope, self.cap)


@dataclass(frozen=True)
class Factor:
    """The k best, k the largest with (k + 1)(1 − c₍k₎) < factor (Fast-dLLM 2505.22618, eq. 4).

    c is exp(score), as in `Threshold`. The first position that fails is not committed.
    """

    factor: float = 1.0
    cap: int | None = None
    reads = "probability"
    pace = "adaptive"

    def __post_init__(self) -> None:
        if not (is_number(self.factor) and self.factor > 0):
            raise StrategyError(f"factor={self.factor!r}: pass a number above 0, such as 1.0")
        _check_cap(self.cap)

    def __call__(self, score: Tensor, scope: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,N) bool."""
        ranked = _descending(score, scope)
        k = torch.arange(1, score.shape[1] + 1, device=score.device)
        count = _prefix((k + 1) * -torch.expm1(ranked) < self.factor)
        return _capped(best(score, scope, count), score, scope, self.cap)


@dataclass(frozen=True)
class EntropyBound:
    """By entropy ascending, the largest prefix with ΣH − max H ≤ bound (EB-Sampler 2505.24857).

    The order must be `ordering.Entropy`, whose score is −H in nats.
    """

    bound: float = 0.1
    cap: int | None = None
    reads = "entropy"
    pace = "adaptive"

    def __post_init__(self) -> None:
        if not (is_number(self.bound) and self.bound >= 0):
            raise StrategyError(f"bound={self.bound!r}: pass nats ≥ 0, such as 0.1")
        _check_cap(self.cap)

    def __call__(self, score: Tensor, scope: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,N) bool."""
        entropy = -_descending(score, scope)
        before = (entropy.cumsum(1) - entropy).nan_to_num(torch.inf)  # ΣH − max H of a prefix
        count = _prefix((before <= self.bound) & entropy.isfinite())
        return _capped(best(score, scope, count), score, scope, self.cap)


@dataclass(frozen=True)
class Stable:
    """{c > threshold and KL(now‖before) < divergence for `history` steps}, else the best one.

    KLASS (2511.05664). c is exp(score), as in `Threshold`; the divergence is that of `Past`, over
    the likeliest ids of the step before and the rest taken together.
    """

    threshold: float = 0.9
    divergence: float = 0.001
    history: int = 2
    cap: int | None = None
    reads = "probability"
    pace = "adaptive"
    needs = frozenset({"divergence"})

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        if not (is_number(self.divergence) and self.divergence > 0):
            raise StrategyError(f"divergence={self.divergence!r}: pass nats above 0, such as 0.001")
        if not (isinstance(self.history, int) and 1 <= self.history <= LOOK_BACK):
            raise StrategyError(f"history={self.history!r}: pass 1 to {LOOK_BACK} steps")
        _check_cap(self.cap)

    def __call__(self, score: Tensor, scope: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,N) bool."""
        assert proposal.past is not None
        recent = proposal.past.divergence[..., : self.history]
        calm = (recent < self.divergence).all(2)
        floor = math.log(self.threshold) if self.threshold > 0 else _LOWEST
        return _capped(calm & (score > floor) & scope, score, scope, self.cap)


LOOK_BACK = 4
"""How many steps `Past` looks back."""


def _descending(score: Tensor, scope: Tensor) -> Tensor:
    """(B,N) float64 scores of scope, best first, -inf behind them."""
    ranked = score.double().masked_fill(~scope, _LOWEST)
    return ranked.sort(dim=1, descending=True).values


def _prefix(good: Tensor) -> Tensor:
    """(B,N) bool -> (B,): how many lead each row, at least 1."""
    return good.long().cumprod(1).sum(1).clamp(min=1)


def _capped(keep: Tensor, score: Tensor, scope: Tensor, cap: int | None) -> Tensor:
    """At least one position of scope and at most cap, the best ones."""
    keep = at_least_one(keep, score, scope)
    if cap is None:
        return keep
    return best(score, keep & scope, torch.full_like(keep[:, 0], cap, dtype=torch.int64))


def _check_cap(cap: int | None) -> None:
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise StrategyError(
            f"cap={cap!r}: a step must be able to commit something: pass 1 or more, or None"
        )
