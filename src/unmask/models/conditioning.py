"""Class conditioning by token types, which transformers adds to the embedding of every position."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import CanvasError, ModelError
from unmask.host import per_row
from unmask.models.hf import MaskedLMDenoiser
from unmask.projection import Projection
from unmask.types import Memory


class ClassConditioned(nn.Module):
    """A transformers `*ForMaskedLM` whose token type 0 means no class, and 1 + c the class c.

    The condition is (B,) int64 with classes 0..classes−1, or −1 for none; no condition is none for
    every row, and what transformers itself assumes when it opens the folder.
    """

    def __init__(self, inner: MaskedLMDenoiser, classes: int):
        super().__init__()
        known = getattr(getattr(inner, "net", None), "config", None)
        types = getattr(known, "type_vocab_size", 0)
        if types <= classes:
            raise ModelError(
                f"{classes} classes need {classes + 1} token types; the network has {types}: give "
                f"its config type_vocab_size={classes + 1}"
            )
        self.inner, self.classes = inner, classes
        self.vocab_size, self.mask_id = inner.vocab_size, inner.mask_id
        self.forbidden, self.length, self.trims = inner.forbidden, inner.length, inner.trims

    @property
    def device(self) -> torch.device | None:
        """Device of the network."""
        return self.inner.device

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, condition: Any = None
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,D), every position told the class of its row."""
        given = self.arguments(condition, tokens)
        return self.inner.hidden(tokens, valid=valid, memory=memory, condition=given)

    def arguments(self, condition: Any, tokens: Tensor) -> dict[str, Tensor]:
        """What the network is told: a token type for each of tokens (B,N)."""
        return token_types(self._checked(condition, tokens) + 1, tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V)."""
        return self.inner.logits(hidden)

    def projection(self, hidden: Tensor) -> Projection | None:
        """(M,D) -> what `logits` multiplies in the end, where that is known."""
        return self.inner.projection(hidden)

    def _checked(self, condition: Any, tokens: Tensor) -> Tensor:
        """(B,) int64 from −1."""
        batch = len(tokens)
        if condition is None:
            return torch.full((batch,), -1, device=tokens.device)
        if not isinstance(condition, Tensor):
            kind = type(condition).__name__
            raise CanvasError(f"condition must be a tensor of {batch} class numbers; got a {kind}")
        if condition.shape != (batch,) or condition.is_floating_point():
            raise CanvasError(
                f"condition must be a tensor of {batch} class numbers; got {condition.dtype} "
                f"{tuple(condition.shape)}"
            )
        number = per_row(condition, "value", torch.clone)
        if ((number < -1) | (number >= self.classes)).any():
            raise CanvasError(
                f"condition has classes {sorted(set(condition.tolist()))}: pass 0 to "
                f"{self.classes - 1}, or -1 for no class"
            )
        return condition.to(tokens.device, torch.int64)


def token_types(kind: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """kind (B,) token types -> the network's keyword argument, the same at all N positions."""
    return {"token_type_ids": kind.unsqueeze(1).expand_as(tokens)}
