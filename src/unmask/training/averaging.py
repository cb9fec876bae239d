"""Exponential moving average of the weights. The averaged network is evaluated and saved."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from unmask.core.files import replacing_file
from unmask.errors import CheckpointError
from unmask.training.base import TrainerCallback
from unmask.training.within import trained_weights

EMA = "ema.safetensors"
PREFIX, COUNT = "module.", "n_averaged"  # of entries in the file


def _average(decay: float, averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Take one step of the average, with a smaller decay in the first steps."""
    taken = int(steps)
    get_ema_multi_avg_fn(min(decay, (1 + taken) / (10 + taken)))(averaged, current, steps)


class Averaging(TrainerCallback):
    """A callback: average ← d·average + (1 − d)·weights after every optimiser step.

    d = min(decay, (1 + n)/(10 + n)) after n steps, so that short runs are averaged, too. Only
    weights that are trained have an average; the averaged network shares the others.
    """

    def __init__(self, denoiser: nn.Module, decay: float):
        self.source = denoiser
        self.trained = trained_weights(denoiser)
        own = nn.ParameterList(self.trained.values())
        self.model = AveragedModel(own, multi_avg_fn=partial(_average, decay))
        averages = dict(zip(self.trained, self.model.parameters(), strict=True))
        shared = {id(each): each for each in denoiser.parameters()}
        shared |= {id(each): averages[name] for name, each in self.trained.items()}
        self.averages = averages
        self.denoiser: nn.Module = copy.deepcopy(denoiser, shared)
        """The network with averaged weights."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the average to the device of the weights."""
        device = next(self.source.parameters()).device
        self.model.to(device)
        self.denoiser.to(device)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the average towards the weights."""
        self.model.update_parameters(nn.ParameterList(self.trained.values()))
        self._take_buffers()

    @torch.no_grad()
    def _take_buffers(self) -> None:
        for own, current in zip(self.denoiser.buffers(), self.source.buffers(), strict=True):
            own.copy_(current)

    def write(self, folder: Path) -> None:
        """Write the average to a checkpoint folder."""
        from safetensors.torch import save_file

        found = {PREFIX + name: each.detach() for name, each in self.averages.items()}
        with replacing_file(folder / EMA) as temporary:
            save_file({**found, COUNT: self.model.n_averaged}, str(temporary))

    def read(self, folder: Path) -> None:
        """Read the average from a checkpoint folder. Raises CheckpointError if it is another's."""
        from safetensors.torch import load_file

        found = load_file(str(folder / EMA))
        if missing := [name for name in self.averages if PREFIX + name not in found]:
            raise CheckpointError(f"{folder / EMA} has no average of {missing[0]}: another network")
        for name, average in self.averages.items():
            average.data.copy_(found[PREFIX + name])
        self.model.n_averaged.copy_(found[COUNT])
        self._take_buffers()
