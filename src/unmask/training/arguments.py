"""A recipe as arguments of transformers' Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unmask.errors import StrategyError
from unmask.training.inputs import CHECKPOINTED
from unmask.training.recipe import Recipe

CHECKPOINTS = 10  # of a run; also how often the held-out bound and samples are shown


def arguments(recipe: Recipe, work: Path, seed: int) -> Any:
    """Return TrainingArguments of a recipe; the batch is divided over the running processes.

    Raises StrategyError for a batch size that cannot be divided.
    """
    import torch
    from transformers import TrainingArguments

    every = max(1, recipe.steps // CHECKPOINTS)
    assert recipe.learning_rate is not None  # of a recipe that is `settled`
    fields = TrainingArguments.__dataclass_fields__
    checkpointing = next(name for name in CHECKPOINTED if name in fields)  # by the version
    again: Any = {checkpointing: True} if recipe.gradient_checkpointing else {}
    given = TrainingArguments(
        output_dir=str(work),
        max_steps=recipe.steps,
        gradient_accumulation_steps=recipe.pieces,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(recipe.warmup_steps, recipe.steps // 10),
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.adam_beta2,
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision == "bfloat16",
        eval_strategy="no",  # `watching` measures
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        logging_strategy="no",
        report_to="none",
        # Published networks may have weights that no loss depends on, such as experts of a batch.
        ddp_find_unused_parameters=recipe.base.model is not None,
        use_cpu=not torch.accelerator.is_available(),  # else processes would not find each other
        log_level="error",
        disable_tqdm=True,
        seed=seed,
        **again,
    )
    parts = recipe.pieces * given.world_size * max(1, given.n_gpu)
    if recipe.batch_size % parts:
        raise StrategyError(
            f"batch_size={recipe.batch_size} cannot be divided over {given.world_size} processes "
            f"in {recipe.pieces} pieces: pass a multiple of {parts}"
        )
    given.per_device_train_batch_size = recipe.batch_size // parts
    return given
