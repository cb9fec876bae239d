"""Exponential moving average of the weights. The averaged network is evaluated and saved."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from unmask.core.files import replacing_file
from unmask.training.base import TrainerCallback

EMA = "ema.safetensors"


def _average(decay: float, averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Take one step of the average, with a smaller decay in the first steps."""
    taken = int(steps)
    get_ema_multi_avg_fn(min(decay, (1 + taken) / (10 + taken)))(averaged, current, steps)


class Averaging(TrainerCallback):
    """A callback: average ← d·average + (1 − d)·weights after every optimiser step.

    d = min(decay, (1 + n)/(10 + n)) after n steps, so that short runs are averaged, too.
    """

    def __init__(self, denoiser: nn.Module, decay: float):
        self.source = denoiser
        self.model = AveragedModel(denoiser, multi_avg_fn=partial(_average, decay))

    @property
    def denoiser(self) -> nn.Module:
        """The network with averaged weights."""
        return self.model.module

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the average to the device of the weights."""
        device = next(self.source.parameters()).device
        self.model.to(device)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the average towards the weights."""
        self.model.update_parameters(self.source)

    def write(self, folder: Path) -> None:
        """Write the average to a checkpoint folder."""
        from safetensors.torch import save_model

        with replacing_file(folder / EMA) as temporary:
            save_model(self.model, str(temporary))

    def read(self, folder: Path) -> None:
        """Read the average from a checkpoint folder."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / EMA))
