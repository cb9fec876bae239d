"""What the bundled models were trained with; `unmask train TASK` reproduces them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A backbone, started by `geometry`, and how to train it with `objectives.complementary`."""

    backbone: dict[str, Any]  # arguments of transformers' MegatronBertConfig, a pre-norm BERT
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    ema_decay: float
    preset: dict[str, Any]  # what the finished model recommends: a preset's name and options
    adam_beta2: float = 0.98
    condition_dropout: float = 0.0  # share of examples trained without their class
    warped: tuple[float, float] = (0.0, 0.0)  # share of warped examples, first and last


RECIPES = {
    "shidoku": Recipe(
        backbone={
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "hidden_dropout_prob": 0.0,
            "initializer_range": 0.06,
        },
        steps=5000,
        batch_size=32,
        learning_rate=3e-3,
        warmup_steps=100,
        weight_decay=0.02,
        ema_decay=0.998,
        preset={"name": "confidence", "steps": 16},
    ),
    "digits": Recipe(
        backbone={
            "hidden_size": 96,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            "hidden_dropout_prob": 0.0,
            "initializer_range": 0.06,
        },
        steps=3800,
        batch_size=16,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.1,
        ema_decay=0.998,
        preset={"name": "random_order", "steps": 64},
        condition_dropout=0.1,
        warped=(0.3, 0.0),
    ),
}
