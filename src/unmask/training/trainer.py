"""The model that transformers' Trainer trains, and the little that Trainer must be told.

B examples a batch, N positions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset

from unmask.errors import DataError
from unmask.files import replacing_file
from unmask.models.conditioning import token_types
from unmask.objectives import complementary
from unmask.random import fold
from unmask.tasks import Task

try:
    from transformers import Trainer, TrainerCallback
except ImportError:  # this module stays importable on a bare install; `train` names the extra
    Trainer = TrainerCallback = object  # type: ignore[assignment,misc]

Prepare = Callable[[Tensor, Tensor | None, Tensor, float], tuple[Tensor, Tensor]]
EMA = "ema.safetensors"  # written last, so a checkpoint that has it is complete


class Examples(Dataset[dict[str, Tensor]]):
    """A task's training examples, each with its index, from which its masks are seeded."""

    def __init__(self, task: Task):
        self.tokens, self.labels = task.train, task.train_labels

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {"tokens": self.tokens[index], "index": torch.tensor(index)}
        # Not "label": transformers' collator renames that.
        return item if self.labels is None else item | {"category": self.labels[index]}


class MaskedModel(nn.Module):
    """A denoiser whose forward is its training loss."""

    def __init__(self, denoiser: Any):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, tokens: Tensor, seed: Tensor, kind: Tensor) -> dict[str, Tensor]:
        """tokens (B,N), seed (B,), kind (B,) token types -> {"loss": nats per token}."""
        everywhere = torch.ones_like(tokens, dtype=torch.bool)
        condition = token_types(kind, tokens)
        loss = complementary(self.denoiser, tokens, everywhere, seed, condition=condition).loss
        return {"loss": loss}


class MaskedTrainer(Trainer):
    """Trainer, with masks seeded by (run seed, step, example) and weights kept as safetensors."""

    last_loss = float("nan")
    prepare: Prepare  # (tokens, labels, seeds, progress) -> tokens and kinds

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of one batch. Raises DataError, naming step and seed, when it is not finite."""
        step = self.state.global_step
        seed = fold(self.args.seed, inputs["index"], step)
        tokens, kind = self.prepare(
            inputs["tokens"], inputs.get("category"), seed, step / self.args.max_steps
        )
        loss: Tensor = model(tokens, seed, kind)["loss"].mean()
        self.last_loss = float(loss.detach())
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss is {self.last_loss} at step {step} (seed {self.args.seed}): lower the "
                "learning rate; the last checkpoint is kept"
            )
        return loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Weights alone, tied ones included."""
        from safetensors.torch import save_model

        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        assert self.model is not None
        save_model(self.model, str(folder / "model.safetensors"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        from safetensors.torch import load_model

        assert self.model is not None
        load_model(self.model, str(Path(resume_from_checkpoint) / "model.safetensors"))


class Averaging(TrainerCallback):
    """Exponential moving average of the weights, saved with each checkpoint and taken up again."""

    def __init__(self, denoiser: nn.Module, decay: float, resume: Path | None):
        average = get_ema_multi_avg_fn(decay)
        self.model = AveragedModel(denoiser, multi_avg_fn=average)
        self.source = denoiser
        if resume is not None:
            from safetensors.torch import load_model

            load_model(self.model, str(resume / EMA))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the average towards the weights."""
        self.model.update_parameters(self.source)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the average beside the checkpoint that was just written."""
        from safetensors.torch import save_model

        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        with replacing_file(folder / EMA) as temporary:
            save_model(self.model, str(temporary))


class EachStep(TrainerCallback):
    """Calls back with the number of steps taken."""

    def __init__(self, call: Callable[[int], None]):
        self.call = call

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After every optimiser step."""
        self.call(state.global_step)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{EMA}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
