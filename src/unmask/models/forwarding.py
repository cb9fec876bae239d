"""What a denoiser around another denoiser has in common with it.

Shapes: M rows of the head, D width, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, Denoiser, DenoiserSpec, Query
from unmask.core.projection import Projection
from unmask.errors import ModelError


class Forwarding(nn.Module, ABC):
    """All of `inner` but its trunk, which those who derive from this run in their own way.

    changes_network: it is another network than `inner`, and not only another way to run it.
    Raises ModelError unless `inner` is a denoiser.
    """

    changes_network: ClassVar[bool] = False

    def __init__(self, inner: Denoiser):
        super().__init__()
        check_denoiser(inner, ModelError)
        self.inner: Any = inner

    @property
    def spec(self) -> DenoiserSpec:
        """What is known of the inner denoiser."""
        spec: DenoiserSpec = self.inner.spec
        return spec

    @property
    def device(self) -> torch.device | None:
        """Device of the inner denoiser."""
        device: torch.device | None = self.inner.device
        return device

    @abstractmethod
    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D) of one pass, and what is kept for the next step."""

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V), by the inner denoiser."""
        logits: Tensor = self.inner.logits(hidden)
        return logits

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies in the end, where that is known."""
        projection: Projection | None = self.inner.projection(hidden)
        return projection


def check_denoiser(denoiser: object, error: type[Exception]) -> None:
    """Raise the error unless this is a denoiser."""
    if not isinstance(denoiser, Denoiser):
        raise error(
            f"{type(denoiser).__name__} is no denoiser: wrap it first, as in "
            "unmask.wrap(net, mask_id=17)"
        )


def unwrapped(denoiser: Denoiser) -> Denoiser:
    """The denoiser within all wrappers that only run it in another way."""
    while isinstance(denoiser, Forwarding) and not denoiser.changes_network:
        denoiser = denoiser.inner
    return denoiser
