"""The base of adapters, which make a network a denoiser, and helpers of theirs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.core.checks import is_integer
from unmask.core.network import Cache, DenoiserSpec, Query
from unmask.core.projection import Projection
from unmask.errors import CanvasError, ModelError


class Adapter(nn.Module, ABC):
    """Base of networks as denoisers; see `unmask.Denoiser` for the contract.

    logit_shift: the network's output at a position predicts the next one, so the logits of a
    position are computed from the hidden state before it (Dream 2508.15487, DiffuLLaMA 2410.17891);
    those of the first position from its own.
    """

    spec: DenoiserSpec

    def __init__(self, spec: DenoiserSpec, logit_shift: bool = False):
        super().__init__()
        self.spec, self.logit_shift = spec, logit_shift

    @property
    def device(self) -> torch.device | None:
        """Device of the network; None if it has no parameters."""
        return device_of(self)

    @abstractmethod
    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D) of one pass, and the cache for the next step."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (M,V) of hidden states (M,D)."""

    def projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection whose product is the logits of hidden (M,D); None if unknown."""
        return None

    def shift_logits(self, hidden: Tensor) -> Tensor:
        """Return hidden (R,N,D), with a logit shift moved by one position to the right."""
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
    """Return a spec. Raises ModelError for ids outside the vocabulary.

    known: further fields of `DenoiserSpec`.
    """
    if length is not None and not is_integer(length, 1):
        raise ModelError(f"length={length!r}: pass an integer of 1 or more, or None")
    ids: dict[str, Any] = {"mask_id": mask_id, "forbidden": forbidden}
    return DenoiserSpec(vocab_size, **ids, default_length=length, **known)


def keywords(condition: Any) -> dict[str, Any]:
    """Return a condition as keyword arguments of the network. CanvasError unless None or a dict."""
    if condition is None:
        return {}
    if not isinstance(condition, dict):
        raise CanvasError(
            f"the condition is a {type(condition).__name__}: pass a dict of keyword arguments of "
            "the network, such as {'context': tensor}"
        )
    return dict(condition)


def device_of(module: nn.Module) -> torch.device | None:
    """Return the device of a module's parameters or buffers; None if it has none."""
    for tensors in (module.parameters(), module.buffers()):
        for tensor in tensors:
            return tensor.device
    return None
