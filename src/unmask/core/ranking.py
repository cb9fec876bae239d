"""Exactly the best few of each row, whatever the scores, and the grid they are ranked on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unmask.core.arrays import arange

DIGITS = 14
"""Binary digits of a score that count where a network's arithmetic enters it: a grid far above
rounding and far below meaning, 2⁻¹² between 2 and 4. Two positions alike may differ by the kernel
that computed them, and must not be ranked by that, or tokens would depend on the batch."""

_UP = 1 + 2.0 ** -(DIGITS + 1)  # half a step of the grid, so that cutting digits off rounds


def as_score(score: Tensor) -> Tensor:
    """A score of any dtype as float32, or float64 where it is that or no float."""
    if score.dtype in (torch.float32, torch.float64):
        return score
    return score.float() if score.is_floating_point() else score.double()


def on_grid(score: Tensor) -> Tensor:
    """Scores of any shape, float32 or float64, rounded to `DIGITS`; infinities and NaN stay."""
    word, bits = (torch.int64, 53) if score.dtype == torch.float64 else (torch.int32, 24)
    cut = -(1 << (bits - DIGITS))
    return ((score * _UP).view(word) & cut).view(score.dtype)


def number_on_grid(number: float) -> float:
    """`on_grid` of one number."""
    share, exponent = math.frexp(number * _UP)
    return math.ldexp(math.trunc(math.ldexp(share, DIGITS)), exponent - DIGITS)


def log_on_grid(probability: float) -> float:
    """The logarithm of a bound, to compare with log-probabilities on the grid; -inf of 0."""
    return number_on_grid(math.log(probability)) if probability > 0 else -math.inf


def log_beside(probability: float, side: int) -> float:
    """The logarithm of a bound, half a step of the grid higher (side 1) or lower (side -1).

    To compare with log-probabilities that are not on the grid: one that differs from the bound by
    rounding is not beyond it.
    """
    if probability <= 0:
        return -math.inf
    bound = math.log(probability)
    return bound + side * math.ldexp(0.5, math.frexp(bound)[1] - DIGITS) if bound else 0.0


def eligible_score(score: Tensor, eligible: Tensor) -> Tensor:
    """(B,N) float: −inf where not eligible and nowhere else; NaN stays."""
    score = as_score(score)
    return torch.where(eligible, score.clamp(min=torch.finfo(score.dtype).min), float("-inf"))


def ranked_positions(score: Tensor) -> Tensor:
    """`eligible_score` -> (B,N) int64: the positions of each row, best-scored first.

    Equal scores go by position, and those that are not eligible come last.
    """
    return score.argsort(dim=1, descending=True, stable=True)


def highest(score: Tensor, count: Tensor) -> Tensor:
    """`eligible_score` -> (B,N) bool: the `count` (B,) int64 best-scored positions of each row.

    Where fewer are eligible, others are among them.
    """
    wanted = arange(score.shape[1], score.device) < count.unsqueeze(1)
    return torch.zeros_like(score, dtype=torch.bool).scatter_(1, ranked_positions(score), wanted)


def best(score: Tensor, eligible: Tensor, count: Tensor) -> Tensor:
    """The `count` best-scored positions of each row, among those eligible.

    score (B,N) float, eligible (B,N) bool, count (B,) int64. Returns (B,N) bool with exactly
    min(count, eligible) positions a row. Ties go to the lower position, so that the number is
    always exact (a cut-off `score < cutoff` is not, once scores saturate).
    """
    return highest(eligible_score(score, eligible), count) & eligible


def best_of_groups(score: Tensor, eligible: Tensor, count: Tensor, group: Tensor) -> Tensor:
    """`best` within each group: group (B,N) int64 from 0, count (B,P) int64 -> (B,N) bool."""
    order = ranked_positions(eligible_score(score, eligible))
    # By group, and within a group best first; there may be as many groups as positions.
    order = order.gather(1, group.gather(1, order).argsort(dim=1, stable=True))
    ranked_group = group.gather(1, order)
    size = torch.zeros_like(count).scatter_add_(1, group, torch.ones_like(group))
    before = size.cumsum(1) - size
    rank = arange(group.shape[1], group.device) - before.gather(1, ranked_group)
    wanted = rank < count.gather(1, ranked_group)
    return torch.zeros_like(eligible).scatter(1, order, wanted) & eligible


def descending(score: Tensor, eligible: Tensor) -> Tensor:
    """(B,N) float64: the scores of the eligible positions, best first, -inf behind them."""
    ranked = score.double().masked_fill(~eligible, -torch.inf)
    return ranked.sort(dim=1, descending=True).values


def within_bound(score: Tensor, eligible: Tensor, bound: float) -> Tensor:
    """(B,) int64: how many of the best-scored positions have ΣH − max H ≤ bound.

    score (B,N): −H in nats, on the grid. The position of least entropy is always among them.
    """
    entropy = -descending(score, eligible)
    before = (entropy.cumsum(1) - entropy).nan_to_num(torch.inf)  # ΣH − max H of a prefix
    return (before <= bound).long().cumprod(1).sum(1)


def at_least_one(keep: Tensor, score: Tensor, eligible: Tensor) -> Tensor:
    """keep (B,N) bool, with the best-scored eligible position in rows that keep none."""
    one = torch.ones(len(keep), dtype=torch.int64, device=keep.device)
    none = ~(keep & eligible).any(1, keepdim=True)
    return keep | (best(score, eligible, one) & none)
