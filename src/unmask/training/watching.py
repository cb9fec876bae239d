"""Progress reports of a run: the loss of every step, and at intervals a bound and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unmask import presets
from unmask.core.files import write_file
from unmask.engine.run import generate
from unmask.presets.by_name import ending
from unmask.training.answers import answers
from unmask.training.base import TrainerCallback
from unmask.training.material import Material
from unmask.training.measuring import Budget
from unmask.training.stream import spread
from unmask.viz.layout import Layout
from unmask.viz.patches import pillow
from unmask.viz.sheet import save_png, sheet

PASSES = 64  # of the network, for one sample, at most


@dataclass(frozen=True)
class Progress:
    """A progress report of a training run."""

    step: int
    total: int
    loss: float  # nats per token, of the batch
    bound: float | None = None  # held out, nats per token; None if not measured at this step
    samples: Tensor | None = None  # (n,N) int64; None if not drawn at this step
    layout: Layout | None = None
    seconds_left: float | None = None  # an estimate, with measuring
    texts: list[str] | None = None  # in place of samples: held-out prompts with their answers


class Watching(TrainerCallback):
    """A callback that reports every step, and in each tenth of a run measures if it is affordable.

    model: the one to save, which samples are drawn of. They are also saved, in `folder`.
    """

    def __init__(
        self,
        material: Material,
        folder: Path,
        trainer: Any,
        model: Any,
        budget: Budget,
        report: Callable[[Progress], None],
    ):
        self.material, self.folder, self.report = material, folder, report
        self.trainer, self.model, self.budget = trainer, model, budget
        self.due = False
        if material.layout.kind != "text":
            pillow("Image")  # raises before training where pictures cannot be drawn

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report an optimiser step, with what is measured after it."""
        self.budget.steps += 1
        if not state.is_world_process_zero:
            return
        last = state.global_step == state.max_steps
        self.due |= last or state.global_step % args.eval_steps == 0
        rows, samples = 0, 0
        if self.due and (last or not control.should_training_stop):
            rows, samples = self.budget.affordable()
            self.due = not (rows or samples)
        measured: dict[str, Any] = {}
        if rows:
            with self.budget.spending("row", rows):
                bound = self.trainer.bound(self.material.held_out, rows)
            measured["bound"] = bound.nats_per_token
        if samples:
            with self.budget.spending("sample", samples):
                measured |= self._measured_samples(samples, state.global_step)
        step, total, loss = state.global_step, state.max_steps, self.trainer.last_loss
        left = self.budget.seconds_left(total - step)
        self.report(Progress(step, total, loss, seconds_left=left, **measured))

    def _measured_samples(self, count: int, step: int) -> dict[str, Any]:
        """Draw and save samples, or answers of a text model that is trained further."""
        base = self.material.base
        if base is None or base.beside is None:
            return {"samples": self._samples(count, step), "layout": self.material.layout}
        rows = [self.material.held_out[i] for i in spread(len(self.material.held_out), count)]
        rows = [row for row in rows if bool(row.maskable.any())]
        texts = answers(self.model, base.beside, rows, self.material.stream)
        self._write_texts(texts, step)
        return {"texts": texts}

    def _write_texts(self, texts: list[str], step: int) -> None:
        path = self.folder / f"step-{step:06d}.txt"
        write_file(path, ("\n----\n".join(texts) + "\n").encode("utf-8", "replace"))

    def _samples(self, count: int, step: int) -> Tensor:
        """Draw and save samples (count,N)."""
        length = self.material.length
        strategy = ending(presets.random_order(min(PASSES, length)), self.material.padding.eos_id)
        samples = generate(self.model, batch_size=count, length=length, seed=0, strategy=strategy)
        if self.material.layout.kind == "text":
            self._write_texts([self.material.text(row) for row in samples], step)
        else:
            path = self.folder / f"step-{step:06d}.png"
            save_png(sheet(samples, self.material.layout), path)
        return samples
