"""Self-conditioning: what the network made of the previous step is added to its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfConditioning(nn.Module):
    """The reference's form: a learned null embedding at the first step, then a linear map.

    `null_embed` (D,) and `to_self_cond` (D,D) are used by an adapter that can add embeddings to the
    input of its network; the previous hidden states travel in the denoiser's memory.
    """

    def __init__(self, width: int):
        super().__init__()
        self.null_embed = nn.Parameter(torch.randn(width))
        self.to_self_cond = nn.Linear(width, width, bias=False)

    def forward(self, previous: Tensor | None, batch: int, length: int) -> Tensor:
        """previous (B,N,D), or None at the first step -> (B,N,D) to add to the input embeddings."""
        if previous is None:
            previous = self.null_embed.expand(batch, length, -1)
        embedding: Tensor = self.to_self_cond(previous)
        return embedding
