"""Self-conditioning: the hidden states of the previous step are added to the network's input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unmask.core.arrays import to_device
from unmask.core.network import Cache
from unmask.models.hidden_cache import HiddenCache


class SelfConditioning(nn.Module):
    """The reference's form: a learned null embedding at the first step, then a linear map.

    `null_embed` (D,) and `to_self_cond` (D,D) are used by an adapter that can add embeddings to the
    input of its network; the previous hidden states travel in the denoiser's cache.
    """

    def __init__(self, width: int):
        super().__init__()
        self.null_embed = nn.Parameter(torch.randn(width))
        self.to_self_cond = nn.Linear(width, width, bias=False)

    def forward(self, cache: Cache | None, rows: int, length: int) -> Tensor:
        """Return (R,N,D) to add to the input embeddings; the null's for rows that begin."""
        previous: Tensor = self.null_embed.expand(rows, length, -1)
        if cache is not None:
            assert isinstance(cache, HiddenCache)
            if cache.begun.all():
                previous = cache.hidden
            elif cache.begun.any():
                begun = to_device(cache.begun, cache.hidden.device).view(-1, 1, 1)
                previous = cache.hidden.where(begun, previous.to(cache.hidden.dtype))
        embedding: Tensor = self.to_self_cond(previous)
        return embedding
