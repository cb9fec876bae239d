"""Class conditioning by a token in front of the sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import CanvasError, ModelError
from unmask.models.adapter import device_of
from unmask.types import Memory


class ClassConditioned(nn.Module):
    """Shows the network one more token, in front: the class, or the null class.

    The condition is (B,) int64 with classes 0..classes−1, or −1 for none; no condition is none for
    every row. Class c has the id first_class + c. The tokens in front exist for the network only:
    canvases have N positions and the hidden states returned are theirs.
    """

    def __init__(self, inner: Any, classes: int, first_class: int, null_class: int):
        super().__init__()
        self.inner = inner
        self.classes, self.first_class, self.null_class = classes, first_class, null_class
        self.vocab_size, self.mask_id = inner.vocab_size, inner.mask_id
        self.length = inner.length
        ids = range(first_class, first_class + classes)
        self.forbidden = tuple(sorted({*inner.forbidden, *ids, null_class}))
        if max(self.forbidden) >= inner.vocab_size:
            raise ModelError(
                f"class ids up to {max(self.forbidden)} are outside the vocabulary of "
                f"{inner.vocab_size}"
            )

    @property
    def device(self) -> torch.device | None:
        """Device of the network."""
        return device_of(self)

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, condition: Any = None
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,D), with the class in front of each row."""
        front = self._front(condition, len(tokens), tokens.device)
        tokens, valid = torch.cat([front, tokens], 1), torch.cat([front >= 0, valid], 1)
        hidden, memory = self.inner.hidden(tokens, valid=valid, memory=memory)
        return hidden[:, 1:], memory

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        logits: Tensor = self.inner.logits(hidden)
        return logits

    def _front(self, condition: Any, batch: int, device: torch.device) -> Tensor:
        """(B,1) ids of the classes."""
        if condition is None:
            return torch.full((batch, 1), self.null_class, device=device)
        if (
            not isinstance(condition, Tensor)
            or condition.shape != (batch,)
            or condition.is_floating_point()
        ):
            got = (
                tuple(condition.shape)
                if isinstance(condition, Tensor)
                else type(condition).__name__
            )
            raise CanvasError(f"condition must be a tensor of {batch} class numbers; got {got}")
        if bool(((condition < -1) | (condition >= self.classes)).any()):
            raise CanvasError(
                f"condition has classes {sorted(set(condition.tolist()))}: pass 0 to "
                f"{self.classes - 1}, or -1 for no class"
            )
        ids = torch.where(condition < 0, self.null_class, condition + self.first_class)
        return ids.unsqueeze(1).to(device)
