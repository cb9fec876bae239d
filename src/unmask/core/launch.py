"""Whether Triton's kernels may be launched, and what is done when one fails."""

from __future__ import annotations

import os
import warnings
from functools import cache
from importlib.util import find_spec

import torch

from unmask.errors import KernelWarning


class Launcher:
    """One kernel's standing in this process: launched until it fails, and then no more."""

    def __init__(self, name: str, instead: str):
        """name: what fails. instead: what is done from then on, to be said in a warning."""
        self.name, self.instead = name, instead
        self.failed: list[Exception] = []

    def may_run(self, device: torch.device) -> bool:
        """Whether to try it there: nowhere but on CUDA, with Triton, and if it never failed."""
        return not self.failed and runs_on(device) and _installed()

    def give_up(self, error: Exception, stacklevel: int = 2) -> None:
        """Launch it no more, for what was raised, and say so."""
        self.failed.append(error)
        said = str(error).partition("\n")[0]
        warnings.warn(
            f"{self.name} failed ({type(error).__name__}: {said}), so {self.instead}: no change is "
            "needed; to silence this, ignore unmask.errors.KernelWarning",
            KernelWarning,
            stacklevel=stacklevel,
        )


def runs_on(device: torch.device) -> bool:
    """Whether Triton knows this device."""
    return device.type == "cuda" or (device.type == "cpu" and interpreted())


def interpreted() -> bool:
    """Whether Triton is asked to run on the host, in numpy, which is for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
