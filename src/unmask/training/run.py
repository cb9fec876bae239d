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
from unmask.models.checkpoint import check_replaceable
from unmask.models.saving import write
from unmask.training.base_model import Base
from unmask.training.inputs import (
    check_call,
    check_data_options,
    check_out,
    check_training_seed,
)
from unmask.training.making import material_of, started, trainer_of
from unmask.training.material import Material
from unmask.training.measuring import FEWEST, MOST, Budget
from unmask.training.network import backbone, finished
from unmask.training.pace import Pace
from unmask.training.recipe import PRESET, Recipe
from unmask.training.resuming import Start, same_run, start_of
from unmask.training.stopping import Stopping
from unmask.training.stream import seed_after, spread
from unmask.training.trainer import discard_incomplete, latest
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
    deadline: float | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a model, write it to the folder `out`, and return its figures.

    data: a built-in task ("digits", "shidoku", "sudoku") or a corpus. base: a model to train
    further, by which the corpus was read (`base.read`), in place of a new network. recipe: default
    that of the task, or `default_recipe(data)`. steps: in place of its own. deadline: when the run
    is to end, in seconds of `time.monotonic`: on the way its steps become as many as there is time
    for. report: called after every step.
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
    check_call(data, base, recipe, resume, overwrite, steps, deadline, report)
    material, recipe = material_of(data, base, recipe)
    check_data_options(data, recipe.data)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    check_replaceable(target)
    work = target.with_name(target.name + ".training")
    pace, budget = None if deadline is None else Pace(deadline), None
    while True:
        start = start_of(target, work, latest(work), recipe.steps, resume, overwrite)
        run = _Run(material, recipe, target, work, seed, start, report, pace, budget)
        run.train()
        if pace is None or pace.steps is None:
            break
        recipe = replace(recipe, steps=start.taken + pace.steps)
        resume, overwrite, budget, pace.steps = True, False, run.budget, None
        del run  # its weights and moments are in the checkpoint
    figures = run.figures()
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
        pace: Pace | None,
        budget: Budget | None,  # of the parts before
    ):
        self.material, self.start, self.stopping = material, start, Stopping()
        denoiser = started(recipe, material, seed, target if start.taken else None)
        # The attention of a finished model is open.
        anneal = 0 if start.taken else recipe.anneal_steps
        further = replace(recipe, steps=recipe.steps - start.taken, anneal_steps=anneal)
        self.trainer = trainer_of(denoiser, further, material, work, seed_after(seed, start.taken))
        self.about = about(material, recipe, seed)
        same_run(target, work, start, self.about)
        discard_incomplete(work)
        self.trainer.writer = self.write
        self.trainer.add_callback(self.stopping)
        self.budget = budget or Budget(
            rows=min(recipe.held_out_rows, len(material.held_out)),
            samples=recipe.samples,
            passes=min(PASSES, material.length),
            batch=self.trainer.args.train_batch_size * recipe.pieces,
            final=min(MOST, FINAL_PAIRS * len(material.held_out)),
        )
        if pace is not None:
            pace.budget = self.budget
            self.trainer.add_callback(pace)
        if report is not None:
            samples = target.with_name(target.name + ".samples")
            self.trainer.add_callback(
                Watching(material, samples, self.trainer, self.model, self.budget, report)
            )

    @property
    def stored(self) -> torch.dtype | None:
        """The dtype of weights in files, if it is not that of the network."""
        name = self.about["recipe"]["stored"]
        return None if name == "float32" else getattr(torch, name)

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
            card["vocabulary"] = material.vocabulary.to_dict()
            write(model, folder, stored=self.stored, **card)

    def train(self) -> None:
        """Run to the end, or to where another number of steps fits the time."""
        checkpoint = self.start.checkpoint
        if not self.budget.steps:
            self.budget.begin()
        with self.stopping.listening():
            self.trainer.train(None if checkpoint is None else str(checkpoint))

    def figures(self) -> dict[str, Any]:
        """Return the figures of the finished model."""
        budget = self.budget
        seconds = budget.trained + budget.spent
        if self.stored is not None:
            round_to(self.model, self.stored)
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
        letters = self.material.characters()
        return {
            "bits_per_token": bound.bits_per_token,
            "standard_error": bound.bits_error,
            **({"bits_per_character": bound.bits_per_token / letters} if letters else {}),
            "held_out_examples": bound.examples,
            # Adapters are merged into the weights that are saved.
            "parameters": every - trained if has_adapters(self.model) else every,
            **({"trained_parameters": trained} if trained < every else {}),
            "seconds": round(seconds, 1),
            "measuring_seconds": round(budget.spent, 1),
            "threads": torch.get_num_threads(),
        }


def round_to(network: nn.Module, dtype: torch.dtype) -> None:
    """Round weights to those that a dtype has, so that figures are those of the file."""
    with torch.no_grad():
        for each in network.parameters():
            each.copy_(each.to(dtype))


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
