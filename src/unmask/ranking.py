"""Exactly the best few of each row, whatever the scores."""

from __future__ import annotations

import torch
from torch import Tensor


def places(score: Tensor, scope: Tensor) -> Tensor:
    """(B,N) int64: the positions of each row, best-scored first; those out of scope come last.

    Equal scores go by position, and −inf within scope comes before what is out of it.
    """
    score = score if score.is_floating_point() else score.double()
    ranked = score.clamp(min=torch.finfo(score.dtype).min).masked_fill(~scope, float("-inf"))
    return ranked.argsort(dim=1, descending=True, stable=True)


def best(score: Tensor, scope: Tensor, count: Tensor) -> Tensor:
    """The `count` best-scored positions of each row, among those in scope.

    score (B,N) float, scope (B,N) bool, count (B,) int64. Returns (B,N) bool with exactly
    min(count, scope) positions a row. Ties go to the lower position, so the number is always exact
    (a cut-off `score < cutoff` is not, once scores saturate).
    """
    order = places(score, scope)
    wanted = torch.arange(score.shape[1], device=score.device) < count.unsqueeze(1)
    return torch.zeros_like(scope).scatter(1, order, wanted) & scope


def best_of_groups(score: Tensor, scope: Tensor, count: Tensor, group: Tensor) -> Tensor:
    """`best` within each group: group (B,N) int64 from 0, count (B,P) int64 -> (B,N) bool."""
    order = places(score, scope)
    ranked_group = group.gather(1, order)
    groups = torch.arange(count.shape[1], device=group.device)
    member = ranked_group.unsqueeze(2) == groups  # (B,N,P)
    wanted = ((member.cumsum(1) <= count.unsqueeze(1)) & member).any(2)
    return torch.zeros_like(scope).scatter(1, order, wanted) & scope


def at_least_one(keep: Tensor, score: Tensor, scope: Tensor) -> Tensor:
    """keep (B,N) bool, with the best-scored position of scope in rows that keep none of it."""
    one = torch.ones(len(keep), dtype=torch.int64, device=keep.device)
    none = ~(keep & scope).any(1, keepdim=True)
    return keep | (best(score, scope, one) & none)
