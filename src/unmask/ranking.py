"""Exactly the best few of each row, whatever the scores."""

from __future__ import annotations

import torch
from torch import Tensor


def best(score: Tensor, scope: Tensor, count: Tensor) -> Tensor:
    """The `count` best-scored positions of each row, among those in scope.

    score (B,N) float, scope (B,N) bool, count (B,) int64. Returns (B,N) bool with exactly
    min(count, scope) positions a row. Ties go to the lower position, so the number is always exact
    (a cut-off `score < cutoff` is not, once scores saturate).
    """
    score = score if score.is_floating_point() else score.double()
    lowest = torch.finfo(score.dtype).min
    ranked = score.clamp(min=lowest).masked_fill(~scope, float("-inf"))
    places = ranked.argsort(dim=1, descending=True, stable=True)
    wanted = torch.arange(score.shape[1], device=score.device) < count.unsqueeze(1)
    return torch.zeros_like(scope).scatter(1, places, wanted) & scope
