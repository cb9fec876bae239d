"""The result of an objective. Shapes: B examples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A training loss and its components."""

    loss: Tensor  # (): what to call backward() on, nats per token
    nll: Tensor | None  # (): summed bound in nats, detached; None where the value is no likelihood
    tokens: Tensor  # (): how many tokens the loss covers
    per_example: Tensor  # (B,) nats per example, detached
    counts: Tensor  # (B,) int64: how many tokens of each example the loss covers
