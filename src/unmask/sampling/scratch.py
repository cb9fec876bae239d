"""Room for intermediate results of vocabulary size, kept from one slice of positions to the next.

The system hands out large blocks page by page, which costs more than the arithmetic done in them.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Scratch:
    """Buffers by name, each as large as the largest tensor it was asked for."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def like(self, name: str, values: Tensor) -> Tensor:
        """A tensor like values, not filled; it is overwritten when the name is asked for again."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < values.numel():
            buffer = torch.empty(values.shape, dtype=values.dtype, device=values.device)
            self._buffers[name] = buffer
        if buffer.shape == values.shape:
            return buffer
        return buffer.view(-1)[: values.numel()].view(values.shape)
