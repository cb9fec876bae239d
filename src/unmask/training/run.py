"""`train`: train a model of a built-in task or a corpus, and save it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unmask.core.files import discard
from unmask.data import Corpus
from unmask.data.padding import to_dict
from unmask.models import save
from unmask.models.checkpoint import check_replaceable
from unmask.tasks import task as load_task
from unmask.training.annealing import AttentionAnnealing
from unmask.training.arguments import arguments
from unmask.training.augment import Warped
from unmask.training.base_model import Base
from unmask.training.inputs import (
    check_call,
    check_data_options,
    check_out,
    check_training_seed,
    need,
)
from unmask.training.material import Material, of_base, of_corpus, of_task
from unmask.training.measuring import FEWEST, Budget
from unmask.training.network import (
    backbone,
    build_network,
    finished,
    kinds,
    open_base,
    packed,
    take_weights,
)
from unmask.training.recipe import PRESET, Recipe
from unmask.training.recipes import RECIPES, default_recipe
from unmask.training.resuming import Start, same_run, start_of
from unmask.training.stopping import Stopping
from unmask.training.stream import seed_after, spread
from unmask.training.trainer import MaskedTrainer, discard_incomplete, latest
from unmask.training.watching import PASSES, Progress, Watching
from unmask.training.within import has_adapters, trained_weights
from unmask.training.writing import writing

FINGERPRINTED = 256  # examples in the fingerprint of the data
FINAL_PAIRS = 8  # of masks per held-out example, at most, for the final figure
Report = Callable[[Progress], None]


def train(
    data: str | Corpus,
    out: str | Path,
    *,
    base: Base | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    steps: int | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a model, write it to the folder `out`, and return its figures.

    data: a built-in task ("digits", "shidoku", "sudoku") or a corpus. base: a model to train
    further, by which the corpus was read (`base.read`), in place of a new network. recipe: default
    that of the task, or `default_recipe(data)`. steps: in place of its own. report: called after
    every step.
    Checkpoints are in `out` + ".training" until the run ends: one after each tenth of the run, one
    at least every ten minutes, and one when SIGINT or SIGTERM arrives; then KeyboardInterrupt is
    raised. Each has a folder `model` that `unmask.load` opens. Samples are in `out` + ".samples".

    resume=True continues from the newest complete checkpoint, with the same result bit for bit as
    a run without interruption. With other steps, the learning rate is from there on that of a run
    of so many steps. A finished model with fewer steps is extended from its weights: the further
    steps have a new optimiser, a learning rate that rises and falls again, and other draws of
    data. overwrite=True starts again, and replaces a model in `out` when the new one is complete.
    Raises CheckpointError if that would lose a model or a run, or if there is nothing to resume;
    DataError for data that cannot be used; TrainingError if the loss is not finite.
    """
    check_training_seed(seed)
    target = check_out(out)
    check_call(data, base, recipe, resume, overwrite, steps, report)
    material, recipe = material_of(data, base, recipe)
    check_data_options(data, recipe.data)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    check_replaceable(target)
    work = target.with_name(target.name + ".training")
    start = start_of(target, work, latest(work), recipe.steps, resume, overwrite)
    run = _Run(material, recipe, target, work, seed, start, report)
    figures = run.train()
    if run.trainer.args.should_save:
        with writing(target):
            run.write(run.trainer.finished, target, figures)
        discard(work)
    return figures


class _Run:
    """One run of the trainer."""

    def __init__(
        self,
        material: Material,
        recipe: Recipe,
        target: Path,
        work: Path,
        seed: int,
        start: Start,
        report: Report | None,
    ):
        from transformers import PrinterCallback

        self.material, self.start, self.stopping = material, start, Stopping()
        denoiser = started(recipe, material, seed, target if start.taken else None)
        denoiser = packed(denoiser, recipe, material)
        # The attention of a finished model is open.
        anneal = 0 if start.taken else recipe.anneal_steps
        further = replace(recipe, steps=recipe.steps - start.taken, anneal_steps=anneal)
        self.trainer = MaskedTrainer(
            denoiser,
            arguments(further, work, seed_after(seed, start.taken)),
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
            callbacks=[AttentionAnnealing(denoiser, anneal)] if anneal else [],
        )
        self.about = about(material, recipe, seed)
        same_run(target, work, start, self.about)
        discard_incomplete(work)
        self.trainer.writer = self.write
        self.trainer.add_callback(self.stopping)
        self.trainer.remove_callback(PrinterCallback)  # `report` is in its place
        self.budget = Budget(
            rows=min(recipe.held_out_rows, len(material.held_out)),
            samples=recipe.samples,
            passes=min(PASSES, material.length),
            batch=self.trainer.args.train_batch_size * recipe.pieces,
        )
        if report is not None:
            samples = target.with_name(target.name + ".samples")
            self.trainer.add_callback(
                Watching(material, samples, self.trainer, self.model, self.budget, report)
            )

    @property
    def model(self) -> Any:
        """The model to save."""
        return finished(self.trainer.finished, self.material)

    def write(self, model: Any, folder: Path, figures: dict[str, Any] | None = None) -> None:
        """Write a network, as it is to be saved, with its description to a folder."""
        recipe, material = self.about["recipe"], self.material
        model = finished(model, material)
        about = self.about | ({} if figures is None else {"figures": figures})
        training = {
            "objective": recipe["objective"],
            "schedule": recipe["schedule"],
            "padding": to_dict(material.padding),
        }
        card: dict[str, Any] = {"about": about, "training": training}
        if material.base is not None:
            material.base.write(model, folder, material.vocabulary, **card)
        else:
            save(model, folder, vocabulary=material.vocabulary.to_dict(), **card)

    def train(self) -> dict[str, Any]:
        """Run to the end, and return the figures of the finished model."""
        checkpoint, budget = self.start.checkpoint, self.budget
        budget.begin()
        with self.stopping.listening():
            self.trainer.train(None if checkpoint is None else str(checkpoint))
        seconds = budget.trained + budget.spent
        held_out = self.material.held_out
        examples = len(held_out)
        if "row" not in budget.costs:
            with budget.spending("row", min(FEWEST, examples)):
                self.trainer.bound(held_out, FEWEST)
        rows = budget.final_rows()
        pairs = max(1, min(FINAL_PAIRS, rows // examples))
        with budget.spending("row", pairs * min(rows, examples)):
            bound = self.trainer.bound(held_out, rows, samples=pairs)
        trained = sum(p.numel() for p in trained_weights(self.model).values())
        every = sum(p.numel() for p in self.model.parameters())
        return {
            "bits_per_token": bound.bits_per_token,
            "standard_error": bound.bits_error,
            "held_out_examples": bound.examples,
            # Adapters are merged into the weights that are saved.
            "parameters": every - trained if has_adapters(self.model) else every,
            **({"trained_parameters": trained} if trained < every else {}),
            "seconds": round(seconds, 1),
            "measuring_seconds": round(budget.spent, 1),
            "threads": torch.get_num_threads(),
        }


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


def data_fingerprint(material: Material) -> str:
    """Return a fingerprint of the data: the number of examples, and a digest of some."""
    digest = hashlib.sha256()
    for examples in (material.train, material.held_out):
        for i in spread(len(examples), FINGERPRINTED):
            example = examples[i]
            parts = (example.tokens.tolist(), example.maskable.tolist(), example.category)
            digest.update(repr(parts).encode())
    return f"{len(material.train)} examples, {digest.hexdigest()[:16]}"


def about(material: Material, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return the entries of a model's card that describe its training."""
    base = material.base
    trained = asdict(recipe)
    preset = trained.pop("preset")
    if base is None:
        trained["backbone"] = backbone(recipe, material)
    said: dict[str, Any] = {
        "examples": data_fingerprint(material),
        "layout": material.layout.to_dict(),
        "preset": preset,
        "recipe": trained,
        "seed": seed,
    }
    if base is not None:
        said["base"] = base.described()
        if preset == PRESET:  # the default, in place of which the base may have another
            said["preset"] = base.preset or preset
    return said if material.name == "data" else {"task": material.name, **said}
