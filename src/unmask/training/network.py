"""A new network for a task, and the finished model made of it."""

from __future__ import annotations

from typing import Any

import torch

from unmask.errors import MissingExtraError
from unmask.models import ClassConditioned
from unmask.models.adapter import Ids
from unmask.models.hf import MaskedLMDenoiser
from unmask.tasks import Task
from unmask.training.batches import kinds
from unmask.training.geometry import know_the_layout
from unmask.training.recipes import Recipe
from unmask.types import Denoiser


def build(recipe: Recipe, task: Task, seed: int) -> MaskedLMDenoiser:
    """A network with a token type for each kind of example, its weights drawn from the seed."""
    try:
        from transformers import MegatronBertConfig, MegatronBertForMaskedLM
    except ImportError:
        raise MissingExtraError(
            "training needs transformers: pip install 'unmask[train]'"
        ) from None
    length = task.train.shape[1]
    config = MegatronBertConfig(
        vocab_size=task.vocab_size,
        max_position_embeddings=length,
        type_vocab_size=kinds(task),
        attention_probs_dropout_prob=0.0,
        pad_token_id=None,
        **recipe.backbone,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: Any = MegatronBertForMaskedLM(config)
    know_the_layout(net, task.layout, seed)
    return MaskedLMDenoiser(net, Ids(task.mask_id, task.vocab_size, length=length))


def finished(denoiser: MaskedLMDenoiser, task: Task) -> Denoiser:
    """The model to use: told its class, where the task has classes."""
    return ClassConditioned(denoiser, task.classes) if task.classes else denoiser
