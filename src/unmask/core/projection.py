"""The last step of a head, taken apart into features and weights.

Shapes: M rows, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn


class Projection(NamedTuple):
    """Logits (M,V) as features · weightᵀ + bias."""

    features: Tensor  # (M,D)
    weight: Tensor  # (V,D)
    bias: Tensor | None = None  # (V,)


def untied(features: Tensor, linear: object, head: Any = None) -> Projection | None:
    """features (M,D) and a plain nn.Linear; None where it is anything else, or is watched.

    A subclass (LoRA, quantised, parametrised) may compute something else, and hooks may change it.
    head: where the bias stands if the layer has none, as in ESM.
    """
    if type(linear) is not nn.Linear or watched(linear):
        return None
    bias = linear.bias if linear.bias is not None else getattr(head, "bias", None)
    return Projection(features, linear.weight, bias)


def tied(hidden: Tensor, weight: Tensor, scale: float) -> Projection:
    """hidden (M,D), the embedding (V,D), and what logits are multiplied by."""
    return Projection(hidden * scale, weight)


def watched(module: nn.Module) -> bool:
    """Whether more happens than the module's own forward."""
    replaced = "forward" in vars(module)
    return bool(replaced or module._forward_hooks or module._forward_pre_hooks)
