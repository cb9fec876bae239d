"""The parts of a run: its data, its network and its trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from unmask.data import Corpus
from unmask.tasks import task as load_task
from unmask.training.annealing import AttentionAnnealing
from unmask.training.arguments import arguments
from unmask.training.augment import Warped
from unmask.training.base_model import Base
from unmask.training.inputs import need
from unmask.training.material import Material, of_base, of_corpus, of_task
from unmask.training.network import build_network, kinds, open_base, packed, take_weights
from unmask.training.recipe import Recipe
from unmask.training.recipes import RECIPES, default_recipe
from unmask.training.trainer import MaskedTrainer


def material_of(
    data: str | Corpus, base: Base | None, recipe: Recipe | None
) -> tuple[Material, Recipe]:
    """Return the data of a run, and its recipe with all its values.

    Raises StrategyError for a base beside that of the recipe, or of a built-in task.
    """
    if isinstance(data, str):
        task = load_task(data)
        recipe = RECIPES[data] if recipe is None else recipe
        named = recipe.base.model if base is None else base.name
        need(named is None, f"base={named!r} of {data}, which trains a new network", "leave it out")
        return of_task(task, recipe.padding), recipe.settled()
    if recipe is None:
        recipe = default_recipe(data, None if base is None else base.options)
    if base is None and recipe.base.model is not None:
        base = Base.of(recipe.base)
    if base is None:
        return of_corpus(data, recipe), recipe.settled()
    beside = recipe.base.model is not None and recipe.base != base.options
    need(not beside, f"base of {base.name!r} and recipe.base of another", "pass one of them")
    recipe = replace(recipe, base=base.options).settled(base.block)
    return of_base(data, recipe, base), recipe


def started(recipe: Recipe, material: Material, seed: int, finished: Path | None) -> nn.Module:
    """Return the network that a run begins with. finished: the folder of a run to extend."""
    if material.base is not None:
        return open_base(material.base, recipe, seed, finished)
    denoiser = build_network(recipe, material, seed)
    if finished is not None:
        take_weights(denoiser, finished)
    return denoiser


def trainer_of(
    denoiser: Any, recipe: Recipe, material: Material, work: Path, seed: int
) -> MaskedTrainer:
    """Return the trainer of a network, which prints nothing.

    work: the folder of its checkpoints.
    """
    from transformers import PrinterCallback

    denoiser = packed(denoiser, recipe, material)
    opening = [AttentionAnnealing(denoiser, recipe.anneal_steps)] if recipe.anneal_steps else []
    trainer = MaskedTrainer(
        denoiser,
        arguments(recipe, work, seed),
        material.train,
        held_out=material.held_out,
        objective=recipe.loss(),
        padding=material.padding,
        length=material.padded,
        pad_id=material.pad_id,
        classes=kinds(material) - 1,
        condition_dropout=recipe.condition_dropout if material.classes else 0.0,
        augment=material.warp and Warped(material.warp, material.classes, *recipe.warped),
        ema_decay=recipe.ema_decay or 0.0,
        callbacks=opening,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
