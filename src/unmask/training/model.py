"""A module whose forward is the training loss of a denoiser, as Trainer expects.

B examples, N positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from unmask.core.loss import Loss
from unmask.errors import StrategyError
from unmask.training.collate import IGNORED
from unmask.training.within import checkpoint_layers

Objective = Callable[..., Loss]
"""A function of `unmask.objectives`: a pure function of network, data and seeds."""


class MaskedModel(nn.Module):
    """A denoiser with its objective."""

    def __init__(self, denoiser: nn.Module, objective: Objective, self_condition: float = 0.0):
        super().__init__()
        self.denoiser, self.objective, self.self_condition = denoiser, objective, self_condition

    def activation_checkpointing_enable(self, **given: Any) -> None:
        """Let the layers be computed again for the gradient, as Trainer asks for it."""
        checkpoint_layers(self.denoiser, **given)

    def gradient_checkpointing_enable(self, **given: Any) -> None:
        """Do the same, under the name that older versions of Trainer call."""
        checkpoint_layers(self.denoiser, **given)

    def forward(
        self,
        tokens: Tensor,
        labels: Tensor,
        valid: Tensor,
        seed: Tensor,
        time: Tensor,
        condition: Any = None,
    ) -> Tensor:
        """Return (1,): nats summed over the batch, which the trainer divides by its tokens."""
        loss = self.objective(
            self.denoiser,
            tokens,
            labels != IGNORED,
            seed,
            time=time,
            valid=valid,
            condition=condition,
            self_condition=self.self_condition,
        )
        if not isinstance(loss, Loss):
            raise StrategyError(
                f"objective={self.objective!r} returned a {type(loss).__name__}: return a Loss, as "
                "the functions of unmask.objectives do"
            )
        return (loss.loss * loss.tokens).unsqueeze(0)
