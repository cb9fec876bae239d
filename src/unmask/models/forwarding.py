"""The base of denoisers that wrap another denoiser.

Shapes: M rows of the head, D width, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from unmask.core.network import Cache, Denoiser, DenoiserSpec, Observer, Query, check_denoiser
from unmask.core.projection import Projection
from unmask.errors import ModelError


class Forwarding(nn.Module, ABC):
    """Base of denoisers with the spec and head of `inner` and a `forward` of their own.

    Raises ModelError unless `inner` is a denoiser.
    """

    inner: Denoiser

    def __init__(self, inner: Denoiser):
        super().__init__()
        check_denoiser(inner, ModelError)
        self.inner = inner

    @property
    def spec(self) -> DenoiserSpec:
        """The spec of the inner denoiser."""
        return self.inner.spec

    @property
    def device(self) -> torch.device | None:
        """Device of the inner denoiser."""
        return self.inner.device

    @abstractmethod
    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D) of one pass, and the cache for the next step."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (M,V) of hidden states (M,D), by the inner denoiser."""
        return self.inner.logits(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """Return the projection whose product is the logits of hidden (M,D); None if unknown."""
        return self.inner.projection(hidden)

    def observe(self, logits: Tensor) -> Tensor:
        """Return what the inner denoiser keeps of logits (m,V), where its spec `observes`."""
        return cast("Observer", self.inner).observe(logits)

    def feed_back(self, cache: Cache, observed: Tensor) -> Cache:
        """Return the cache of the inner denoiser with what `observe` returned."""
        return cast("Observer", self.inner).feed_back(cache, observed)
