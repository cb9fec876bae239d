"""Class conditioning by token types, which transformers adds to each position's embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unmask.core.arrays import waits
from unmask.core.network import Cache, Query
from unmask.errors import CanvasError, ModelError
from unmask.models.forwarding import Forwarding
from unmask.models.hf import MaskedLMDenoiser
from unmask.models.outputs import inside


class ClassConditioned(Forwarding):
    """A transformers `*ForMaskedLM` whose token type 0 means no class, and 1 + c the class c.

    The condition is (B,) int64 with classes 0..classes−1, or −1 for no class. None means no class
    for every row. Raises ModelError unless the network has classes + 1 token types.
    """

    changes_network = True
    inner: MaskedLMDenoiser

    def __init__(self, inner: MaskedLMDenoiser, classes: int):
        super().__init__(inner)
        known = getattr(inside(getattr(inner, "net", None)), "config", None)
        types = getattr(known, "type_vocab_size", 0)
        if types <= classes:
            raise ModelError(
                f"{classes} classes need {classes + 1} token types; the network has {types}: set "
                f"type_vocab_size={classes + 1} in its config"
            )
        self.classes = classes

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """Return the hidden states (R,N,D), computed with each row's class, and the cache."""
        given = self.arguments(query.condition, query.tokens)
        return self.inner.forward(replace(query, condition=given), cache)

    def arguments(self, condition: Any, tokens: Tensor) -> dict[str, Tensor]:
        """Return the network's keyword arguments: a token type for each of tokens (R,N)."""
        return token_types(self._class_numbers(condition, tokens) + 1, tokens)

    def _class_numbers(self, condition: Any, tokens: Tensor) -> Tensor:
        """(R,) int64 from −1."""
        batch = len(tokens)
        if condition is None:
            return torch.full((batch,), -1, device=tokens.device)
        if not isinstance(condition, Tensor):
            kind = type(condition).__name__
            raise CanvasError(f"condition is a {kind}: pass a tensor of {batch} class numbers")
        if condition.shape != (batch,) or condition.is_floating_point():
            raise CanvasError(
                f"condition is {condition.dtype} of shape {tuple(condition.shape)}: pass a "
                f"tensor of {batch} class numbers, int64"
            )
        # On a GPU this check would halt the host; a wrong class fails in the embedding there.
        near = not waits(condition.device)
        if near and bool(((condition < -1) | (condition >= self.classes)).any()):
            raise CanvasError(
                f"condition has classes {sorted(set(condition.tolist()))}: pass 0 to "
                f"{self.classes - 1}, or -1 for no class"
            )
        return condition.to(tokens.device, torch.int64)


def token_types(kind: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Return the keyword argument for token types kind (B,), the same at all N positions."""
    return {"token_type_ids": kind.unsqueeze(1).expand_as(tokens)}
