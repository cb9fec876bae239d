"""The recipes of the bundled models; `unmask train TASK` reproduces them."""

from __future__ import annotations

from unmask.training.recipe import Recipe

RECIPES = {
    "shidoku": Recipe(
        backbone={
            "model_type": "megatron-bert",
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.06,
        },
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
        backbone={
            "model_type": "megatron-bert",
            "hidden_size": 128,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.03,
        },
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
        backbone={
            "model_type": "megatron-bert",
            "hidden_size": 96,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.06,
        },
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
