"""What is done to a batch of examples before the loss: warping, and dropping the class.

B examples, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unmask.random import Purpose, uniform
from unmask.tasks import Task
from unmask.training.recipes import Recipe


def prepare(
    task: Task, recipe: Recipe, tokens: Tensor, labels: Tensor | None, seed: Tensor, progress: float
) -> tuple[Tensor, Tensor | None]:
    """tokens (B,N), labels (B,) or None -> what to train on, by each example's own seed (B,).

    Some examples are warped, fewer towards the end of training (progress 0..1), and carry classes
    of their own, so that the model can tell them from the data; some lose their class.
    """
    warped = torch.zeros_like(seed, dtype=torch.bool)
    if task.warp is not None:
        first, last = recipe.warped
        share = first + (last - first) * progress
        warped = uniform(seed, 0, 0, Purpose.AUGMENT)[..., 0] < share
        tokens = tokens.masked_scatter(warped[:, None], task.warp(tokens[warped], seed[warped]))
    if labels is None:
        return tokens, None
    dropped = uniform(seed, 0, 0, Purpose.CONDITION)[..., 0] < recipe.condition_dropout
    own = torch.where(dropped, -1, labels)
    apart = torch.where(dropped, 2 * task.classes, labels + task.classes)
    return tokens, torch.where(warped, apart, own)
