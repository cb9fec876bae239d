"""Exactly the best few of each row, whatever the scores, and the grid they are ranked on."""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.core.arrays import arange

GRID = 2.0**-12
"""The grid of scores that a network's arithmetic enters, in nats: far above rounding, far below
meaning. Two positions alike may differ by the kernel that computed them, and must not be ranked by
that, or tokens would depend on the batch."""


def on_grid(score: Tensor) -> Tensor:
    """Scores of any shape, rounded to multiples of `GRID`; −inf and NaN stay."""
    # Of a number this large the grid is the last digit, so that adding it rounds.
    large = 1.5 * GRID * 2.0 ** (52 if score.dtype == torch.float64 else 23)
    return (score + large) - large


def ranked_positions(score: Tensor, eligible: Tensor) -> Tensor:
    """(B,N) int64: the positions of each row, best-scored first; those not eligible come last.

    Equal scores go by position, and −inf among the eligible comes before what is not.
    """
    score = score if score.is_floating_point() else score.double()
    ranked = torch.where(eligible, score.clamp(min=torch.finfo(score.dtype).min), float("-inf"))
    return ranked.argsort(dim=1, descending=True, stable=True)


def best(score: Tensor, eligible: Tensor, count: Tensor) -> Tensor:
    """The `count` best-scored positions of each row, among those eligible.

    score (B,N) float, eligible (B,N) bool, count (B,) int64. Returns (B,N) bool with exactly
    min(count, eligible) positions a row. Ties go to the lower position, so that the number is
    always exact (a cut-off `score < cutoff` is not, once scores saturate).
    """
    order = ranked_positions(score, eligible)
    wanted = arange(score.shape[1], score.device) < count.unsqueeze(1)
    return torch.zeros_like(eligible).scatter(1, order, wanted) & eligible


def best_of_groups(score: Tensor, eligible: Tensor, count: Tensor, group: Tensor) -> Tensor:
    """`best` within each group: group (B,N) int64 from 0, count (B,P) int64 -> (B,N) bool."""
    order = ranked_positions(score, eligible)
    ranked_group = group.gather(1, order)
    groups = arange(count.shape[1], group.device)
    member = ranked_group.unsqueeze(2) == groups  # (B,N,P)
    wanted = ((member.cumsum(1) <= count.unsqueeze(1)) & member).any(2)
    return torch.zeros_like(eligible).scatter(1, order, wanted) & eligible


def at_least_one(keep: Tensor, score: Tensor, eligible: Tensor) -> Tensor:
    """keep (B,N) bool, with the best-scored eligible position in rows that keep none."""
    one = torch.ones(len(keep), dtype=torch.int64, device=keep.device)
    none = ~(keep & eligible).any(1, keepdim=True)
    return keep | (best(score, eligible, one) & none)
