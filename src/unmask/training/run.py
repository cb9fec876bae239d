"""`train`: a built-in task from data to a folder that `unmask.load` opens."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmask import presets
from unmask.errors import CheckpointError, MissingExtraError, StrategyError
from unmask.evaluation.bound import Bound, bound
from unmask.files import replacing_file
from unmask.generation import generate
from unmask.models import save
from unmask.models.checkpoint import check_replaceable
from unmask.random import check_seed
from unmask.tasks import Task
from unmask.tasks import task as load_task
from unmask.training.batches import prepare
from unmask.training.network import build, finished
from unmask.training.recipes import RECIPES, Recipe
from unmask.types import Denoiser
from unmask.viz.layout import Layout

CHECKPOINTS = 10  # of a run; also how often the held-out bound and samples are shown
SAMPLES = 16
QUICK_PAIRS = 1  # of masks per held-out example while training
FINAL_PAIRS = 8  # the same, for the figure that is kept


@dataclass(frozen=True)
class Progress:
    """What is worth showing of a training run."""

    step: int
    total: int
    loss: float  # nats per token, of the batch
    bound: float | None = None  # held out, nats per token, when it was just measured
    samples: Tensor | None = None  # (n,N) int64, when they were just drawn
    layout: Layout | None = None


def train(
    task: str,
    out: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    steps: int | None = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train a built-in task's model and write it to the folder `out`; returns its figures.

    Checkpoints live in `out` + ".training" until the run ends; resume=True goes on from the newest
    complete one, bit for bit as if there had been no interruption. Raises CheckpointError when one
    is there and resume is not asked for, or is asked for and there is none.
    """
    data, recipe, target = load_task(task), RECIPES.get(task), Path(out).resolve()
    assert recipe is not None, f"task {task} has no recipe"
    if steps is not None:
        if steps < 1:
            raise StrategyError(f"steps={steps}: pass 1 or more")
        recipe = replace(recipe, steps=steps)
    check_seed(seed)
    check_replaceable(target)
    run = _Run(data, recipe, target, seed, resume, report)
    figures = run.train()
    trained = asdict(recipe)
    about = {
        "task": task,
        "layout": data.layout.to_dict(),
        "preset": trained.pop("preset"),
        "recipe": trained,
        "seed": seed,
        "figures": figures,
    }
    save(run.averaged, target, about=about)
    shutil.rmtree(run.work)
    return figures


class _Run:
    """One run of the trainer, and what is reported of it."""

    def __init__(
        self,
        data: Task,
        recipe: Recipe,
        target: Path,
        seed: int,
        resume: bool,
        report: Callable[[Progress], None] | None,
    ):
        parts = _parts()
        self.data, self.recipe, self.seed, self.report = data, recipe, seed, report
        self.work = target.with_name(target.name + ".training")
        checkpoint = parts.latest(self.work)
        _check_resume(self.work, checkpoint, resume)
        _same_run(self.work, checkpoint, {"task": data.name, "seed": seed, **asdict(recipe)})
        denoiser = build(recipe, data, seed)
        self.averaging = parts.Averaging(denoiser, recipe.ema_decay, checkpoint)
        self.trainer = parts.MaskedTrainer(
            model=parts.MaskedModel(denoiser),
            args=_arguments(recipe, self.work, seed),
            train_dataset=parts.Examples(data),
            callbacks=[self.averaging, parts.EachStep(self._after_step)],
        )
        self.trainer.prepare = partial(prepare, data, recipe)
        self.trainer.remove_callback(_printer())
        self.checkpoint = checkpoint

    @property
    def averaged(self) -> Denoiser:
        """The denoiser with averaged weights."""
        return finished(self.averaging.model.module, self.data)

    def train(self) -> dict[str, Any]:
        """Run to the end; the figures of the averaged weights."""
        started = time.perf_counter()
        self.trainer.train(
            resume_from_checkpoint=None if self.checkpoint is None else str(self.checkpoint)
        )
        seconds = time.perf_counter() - started
        held_out = self._bound(FINAL_PAIRS)
        parameters = sum(p.numel() for p in self.averaging.source.parameters())
        return {
            "bits_per_token": held_out.bits,
            "standard_error": held_out.bits_error,
            "held_out_examples": held_out.examples,
            "parameters": parameters,
            "seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
        }

    def _after_step(self, step: int) -> None:
        if self.report is None:
            return
        progress = Progress(step, self.recipe.steps, self.trainer.last_loss)
        if step % every(self.recipe.steps) == 0 or step == self.recipe.steps:
            samples = generate(
                self.averaged, batch_size=SAMPLES, seed=0, strategy=presets.random_order()
            )
            held_out = self._bound(QUICK_PAIRS).nats
            progress = replace(progress, bound=held_out, samples=samples, layout=self.data.layout)
        self.report(progress)

    def _bound(self, pairs: int) -> Bound:
        return bound(self.averaged, self.data.held_out, samples=pairs)


def every(steps: int) -> int:
    """How many steps apart checkpoints and held-out measurements are."""
    return max(1, steps // CHECKPOINTS)


def _check_resume(work: Path, checkpoint: Path | None, resume: bool) -> None:
    if checkpoint is not None and not resume:
        raise CheckpointError(
            f"{work} holds {checkpoint.name} of an unfinished run: pass --resume (resume=True) to "
            "go on from it, or delete the folder to start anew"
        )
    if checkpoint is None and resume:
        raise CheckpointError(f"nothing to resume: {work} holds no complete checkpoint")


def _same_run(work: Path, checkpoint: Path | None, run: dict[str, Any]) -> None:
    """Note what a new run is; raise CheckpointError where a resumed one is another."""
    note = work / "run.json"
    if checkpoint is None:
        with replacing_file(note) as temporary:
            temporary.write_text(json.dumps(run, indent=2), encoding="utf-8")
        return
    begun = json.loads(note.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(run))
    other = {key: (begun.get(key), now[key]) for key in now if begun.get(key) != now[key]}
    if other:
        told = ", ".join(f"{key} was {was}, is {new}" for key, (was, new) in other.items())
        raise CheckpointError(f"{work} holds another run: {told}; pass what it began with")


def _parts() -> Any:
    """The trainer module, which needs transformers and accelerate."""
    try:
        import accelerate  # noqa: F401
        import transformers  # noqa: F401

        from unmask.training import trainer
    except ImportError as error:
        raise MissingExtraError(
            f"training needs {error.name}: pip install 'unmask[train]'"
        ) from None
    return trainer


def _printer() -> Any:
    """Trainer's callback that prints to standard output, which belongs to whoever calls `train`."""
    from transformers import PrinterCallback

    return PrinterCallback


def _arguments(recipe: Recipe, work: Path, seed: int) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(work),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.adam_beta2,
        max_grad_norm=1.0,
        save_steps=every(recipe.steps),
        save_total_limit=2,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=False,
        dataloader_drop_last=True,
        seed=seed,
    )
