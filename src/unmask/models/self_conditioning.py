"""Self-conditioning: the hidden states of the previous step are added to the network's input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unmask.core.arrays import to_device
from unmask.core.network import Cache
from unmask.models.hidden_cache import HiddenCache


class SelfConditioning(nn.Module):
    """A linear map of the previous step's hidden states; at the first step, of a null embedding.

    The form of x-transformers' wrapper: parameters `null_embed` (D,) and `to_self_cond` (D,D), with
    D = width. The result is added to the input embeddings of the network; the previous hidden
    states are in the denoiser's cache.
    """

    def __init__(self, width: int):
        super().__init__()
        self.null_embed = nn.Parameter(torch.randn(width))
        self.to_self_cond = nn.Linear(width, width, bias=False)

    def forward(self, cache: Cache | None, rows: int, length: int) -> Tensor:
        """Return (R,N,D) to add to the input embeddings; of the null embedding for new rows."""
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
