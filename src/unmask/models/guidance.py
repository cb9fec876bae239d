"""Classifier-free guidance (2207.12598) as a wrapper of a denoiser.

Shapes: B rows, N positions, D width of the inner denoiser, M rows of the head, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from unmask.errors import CanvasError, ModelError, StrategyError
from unmask.types import Denoiser, Memory


class Guided(nn.Module):
    """Logits u + w·(c − u): c told the condition of the row, u told `null`; w the weight.

    Weight 1 is the conditional model, 0 the unconditional one, more exaggerates the condition
    (Muse 2301.00704). Both run as one batch of 2B rows, so a step costs two forwards. The condition
    is a tensor whose first dimension is B, such as the classes of `ClassConditioned`; `null` is its
    value for no condition, which the inner network must have been trained with. Raises ModelError
    unless `inner` is a denoiser, and StrategyError unless the weight is a finite number.
    """

    def __init__(self, inner: Denoiser, weight: float, null: int = -1):
        super().__init__()
        if isinstance(inner, Guided):
            raise ModelError("the denoiser is guided already: guide its `inner` instead")
        if not isinstance(inner, Denoiser):
            kind = type(inner).__name__
            raise ModelError(
                f"{kind} is no denoiser: wrap it first, as in unmask.wrap(net, mask_id=17)"
            )
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight):
            raise StrategyError(f"weight={weight!r}: pass a number, such as 2.0; 1.0 guides not")
        self.inner, self.weight, self.null = inner, float(weight), null
        self.forbidden = tuple(getattr(inner, "forbidden", ()))
        self.length: int | None = getattr(inner, "length", None)

    @property
    def vocab_size(self) -> int | None:
        """V of the inner denoiser."""
        return self.inner.vocab_size

    @property
    def mask_id(self) -> int | None:
        """The id shown at unknown positions."""
        return self.inner.mask_id

    @property
    def device(self) -> torch.device | None:
        """Device of the inner denoiser."""
        return getattr(self.inner, "device", None)

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, condition: Any = None
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,2D): with the condition and without, side by side.

        Raises CanvasError for rows without a condition: there is nothing to guide them by.
        """
        condition = self._checked(condition)
        hidden, memory = self.inner.hidden(
            tokens.repeat(2, 1),
            valid=valid.repeat(2, 1),
            memory=tree_map(_stacked, memory),
            condition=torch.cat([condition, torch.full_like(condition, self.null)]),
        )
        return torch.cat(hidden.chunk(2), -1), tree_map(_paired, memory)

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,2D) -> (M,V) float32. An id that either side rules out with −inf stays ruled out."""
        told, untold = self.inner.logits(torch.cat(hidden.chunk(2, -1))).float().chunk(2)
        never = torch.isneginf(told) | torch.isneginf(untold)
        return (untold + self.weight * (told - untold)).masked_fill(never, float("-inf"))

    def _checked(self, condition: Any) -> Tensor:
        """The condition, which every row must have."""
        if not isinstance(condition, Tensor):
            given = "none" if condition is None else f"a {type(condition).__name__}"
            raise CanvasError(
                f"guidance needs a condition, a tensor with a row each; got {given}: pass one, as "
                "in Canvas.blank(16, 64, condition=classes), or generate with the inner denoiser"
            )
        without = (condition.flatten(1) if condition.dim() > 1 else condition[:, None]) == self.null
        rows = without.all(1).nonzero().flatten().tolist()
        if rows:
            raise CanvasError(
                f"rows {rows} have the condition {self.null}, which is none, so guidance has "
                "nothing to go by: give them one, or generate them with the inner denoiser"
            )
        return condition


def _paired(leaf: Any) -> Any:
    """(2B,...) -> (B,2,...), because memory travels with the rows of the canvas."""
    return torch.stack(leaf.chunk(2), 1) if isinstance(leaf, Tensor) else leaf


def _stacked(leaf: Any) -> Any:
    """(B,2,...) -> (2B,...): `_paired` turned back."""
    return torch.cat(leaf.unbind(1)) if isinstance(leaf, Tensor) else leaf
