"""The recipes of the bundled models, which `unmask train TASK` reproduces, and that of a corpus."""

from __future__ import annotations

import math
from typing import Any

from unmask.data import Corpus
from unmask.training.recipe import BaseOptions, DataOptions, Recipe

POSITIONS = 128
"""Positions of an example that the batch size of `Recipe` is meant for."""
PASSES = 3
"""How often a fine-tuning goes through its data, if that is not more than `Recipe().steps`."""
FEWEST_STEPS = 100
"""Steps of a fine-tuning of few data."""


def small(width: int, layers: int, **options: Any) -> dict[str, Any]:
    """Return the backbone of a network for examples of few positions."""
    return {
        "model_type": "megatron-bert",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        **options,
    }


_TASKS = {
    "shidoku": Recipe(
        backbone=small(64, 4, initializer_range=0.06),
        steps=5000,
        batch_size=32,
        learning_rate=3e-3,
        weight_decay=0.02,
        condition_dropout=0.0,
        padding="excluded",
        preset={"name": "confidence", "steps": 16},
    ),
    # For minutes on one core. For a GPU, not tried yet: --set backbone.num_hidden_layers=10
    # --set batch_size=256 --steps 20000, 1.35 M parameters.
    "sudoku": Recipe(
        backbone=small(128, 6, initializer_range=0.03),
        steps=3600,
        batch_size=16,
        learning_rate=3e-3,
        weight_decay=0.02,
        precision="bfloat16",
        condition_dropout=0.0,
        padding="excluded",
        preset={"name": "entropy_bound", "bound": 0.02},
    ),
    "digits": Recipe(
        backbone=small(96, 5, initializer_range=0.06),
        steps=3800,
        batch_size=16,
        learning_rate=2e-3,
        weight_decay=0.1,
        padding="excluded",
        preset={"name": "random_order", "steps": 64},
        condition_dropout=0.1,
        warped=(0.3, 0.0),
    ),
}


# Of a text, which is passed: for an hour or two of one core. The backbone's attention is whole in
# every layer, since its windows are shorter than what ModernBERT slides over.
_TEXTS = {
    "shakespeare": Recipe(
        backbone={
            "model_type": "modernbert",
            "hidden_size": 160,
            "num_hidden_layers": 6,
            "num_attention_heads": 5,
            "intermediate_size": 320,
            "layer_types": ["full_attention"] * 6,
        },
        steps=4000,
        batch_size=32,
        precision="bfloat16",
        stored="float16",
        preset={"name": "random_order", "steps": 64},
        data=DataOptions(tokenizer="bpe:4096", length=128),
    )
}
RECIPES = {name: recipe.settled() for name, recipe in {**_TASKS, **_TEXTS}.items()}


def default_recipe(corpus: Corpus, base: BaseOptions | None = None) -> Recipe:
    """Return `Recipe()`, in which short examples that are no windows fill larger batches.

    Of a base: three times through the data, in `FEWEST_STEPS` steps at least.
    """
    usual = Recipe()
    if base is not None and base.model is not None:
        count = len(corpus.examples) * (1 - usual.data.held_out)
        steps = max(FEWEST_STEPS, min(usual.steps, math.ceil(PASSES * count / usual.batch_size)))
        return Recipe(base=base, steps=steps)
    if corpus.stream:
        return usual
    times = min(POSITIONS // corpus.longest, len(corpus.examples) // usual.batch_size)
    return Recipe(batch_size=usual.batch_size * max(1, times))
