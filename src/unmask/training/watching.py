"""Progress reports of a run: the loss of every step, and at intervals a bound and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unmask import presets
from unmask.core.files import replacing_file
from unmask.engine.run import generate
from unmask.presets.by_name import ending
from unmask.training.material import Material
from unmask.viz.layout import Layout
from unmask.viz.tiles import pillow

try:
    from transformers import TrainerCallback
except ImportError:  # this module stays importable on a bare install; `train` names the extra
    TrainerCallback = object  # type: ignore[assignment,misc]

SAMPLES = 16


@dataclass(frozen=True)
class Progress:
    """A progress report of a training run."""

    step: int
    total: int
    loss: float  # nats per token, of the batch
    bound: float | None = None  # held out, nats per token; None if not measured at this step
    samples: Tensor | None = None  # (n,N) int64; None if not drawn at this step
    layout: Layout | None = None


class Watching(TrainerCallback):
    """A callback that reports every step, and with each bound draws and saves samples."""

    def __init__(
        self,
        material: Material,
        folder: Path,
        model: Callable[[], Any],
        loss: Callable[[], float],
        report: Callable[[Progress], None],
    ):
        self.material, self.folder, self.report = material, folder, report
        self.model, self.loss = model, loss
        if material.layout.kind != "text":
            pillow("Image")  # raises before training where pictures cannot be drawn

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report an optimiser step, unless a measurement follows, which reports it."""
        if not control.should_evaluate and state.is_world_process_zero:
            self.report(Progress(state.global_step, state.max_steps, self.loss()))

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Draw samples and report them with the held-out bound."""
        if not state.is_world_process_zero:
            return
        samples = generate(
            self.model(),
            batch_size=SAMPLES,
            length=self.material.length,
            seed=0,
            strategy=ending(
                presets.random_order(min(64, self.material.length)), self.material.padding.eos_id
            ),
        )
        keep_sheet(samples, self.material, self.folder / f"step-{state.global_step:06d}")
        self.report(
            Progress(
                state.global_step,
                state.max_steps,
                self.loss(),
                bound=given["metrics"]["eval_loss"],
                samples=samples,
                layout=self.material.layout,
            )
        )


def keep_sheet(samples: Tensor, material: Material, path: Path) -> None:
    """Write samples (n,N) as a picture, or text as a text file."""
    if material.layout.kind == "text":
        lines = [material.text(row) for row in samples]
        with replacing_file(path.with_suffix(".txt")) as temporary:
            temporary.write_text("\n----\n".join(lines) + "\n", encoding="utf-8")
        return
    from unmask.viz import save_png, sheet

    save_png(sheet(samples, material.layout), path.with_suffix(".png"))
