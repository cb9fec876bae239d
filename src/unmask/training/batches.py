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
) -> tuple[Tensor, Tensor]:
    """tokens (B,N), labels (B,) or None -> what to train on and its kind (B,) of `kinds` kinds.

    Kind 0 is an example without its class, 1 + c one of class c. Some examples are warped, fewer
    towards the end of training (progress 0..1); they are of kinds of their own behind these, in the
    same order, so that the model can tell them from the data. All by each example's own seed (B,).
    """
    dropped = uniform(seed, 0, 0, Purpose.CONDITION)[..., 0] < recipe.condition_dropout
    kind = torch.zeros_like(seed) if labels is None else (labels + 1).masked_fill(dropped, 0)
    if task.warp is None:
        return tokens, kind
    first, last = recipe.warped
    share = first + (last - first) * progress
    warped = uniform(seed, 0, 0, Purpose.AUGMENT)[..., 0] < share
    tokens = tokens.masked_scatter(warped[:, None], task.warp(tokens[warped], seed[warped]))
    return tokens, kind + warped * (1 + task.classes)


def kinds(task: Task) -> int:
    """How many kinds of examples `prepare` tells apart."""
    return (1 + task.classes) * (1 if task.warp is None else 2)
