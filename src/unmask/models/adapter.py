"""What every adapter has: a spec, a device, and a network underneath."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.core.projection import Projection
from unmask.errors import CanvasError, ModelError


class Adapter(nn.Module, ABC):
    """A network as a denoiser; see `unmask.Denoiser` for the contract.

    logit_shift: the network's output at a position predicts the next one, so that each position
    reads the state before it (Dream 2508.15487, DiffuLLaMA 2410.17891); the first reads its own.
    """

    spec: DenoiserSpec

    def __init__(self, spec: DenoiserSpec, logit_shift: bool = False):
        super().__init__()
        self.spec, self.logit_shift = spec, logit_shift

    @property
    def device(self) -> torch.device | None:
        """Device of the network; None where it has no parameters."""
        return device_of(self)

    @abstractmethod
    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D) of one pass, and what is kept for the next step."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies in the end, where that is known."""
        return None

    def shift_logits(self, hidden: Tensor) -> Tensor:
        """(R,N,D) -> (R,N,D): with a logit shift, each position reads the state before it."""
        if not self.logit_shift:
            return hidden
        return torch.cat([hidden[:, :1], hidden[:, :-1]], 1)


def make_spec(
    vocab_size: int,
    mask_id: int | None,
    forbidden: Sequence[int] = (),
    length: int | None = None,
    **known: Any,
) -> DenoiserSpec:
    """A spec whose ids are inside the vocabulary. Raises ModelError for others.

    known: further fields of `DenoiserSpec`.
    """
    if mask_id is not None and not 0 <= mask_id < vocab_size:
        raise ModelError(
            f"mask_id={mask_id} is outside the vocabulary of {vocab_size}: it must be one of the "
            f"ids the network knows, 0 to {vocab_size - 1}"
        )
    outside = [i for i in forbidden if not 0 <= i < vocab_size]
    if outside:
        raise ModelError(f"forbidden ids {outside} are outside the vocabulary of {vocab_size}")
    ids: dict[str, Any] = {"mask_id": mask_id, "forbidden": tuple(forbidden)}
    return DenoiserSpec(vocab_size, **ids, default_length=length, **known)


def keywords(condition: Any) -> dict[str, Any]:
    """A condition as keyword arguments of the network. Raises CanvasError unless None or a dict."""
    if condition is None:
        return {}
    if not isinstance(condition, dict):
        raise CanvasError(
            f"this network's condition must be a dict of its keyword arguments; got a "
            f"{type(condition).__name__}"
        )
    return dict(condition)


def device_of(module: nn.Module) -> torch.device | None:
    """Where a module's parameters or buffers live; None when it has none."""
    for tensors in (module.parameters(), module.buffers()):
        for tensor in tensors:
            return tensor.device
    return None
