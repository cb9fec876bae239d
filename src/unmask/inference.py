"""Running networks for their answers: no gradients, no dropout, nothing left changed behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(*networks: object) -> Iterator[None]:
    """No gradients, and evaluation mode for those of the networks that are modules.

    Every submodule gets back the mode it had, frozen parts included.
    """
    training = [
        module
        for network in networks
        if isinstance(network, nn.Module)
        for module in network.modules()
        if module.training
    ]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
