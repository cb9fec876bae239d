"""Choice noise: randomness added to an order's score, usually fading as the row nears its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from unmask.errors import StrategyError
from unmask.ordering.fixed import order_uniform
from unmask.ordering.protocol import Order, is_blind, needs_of
from unmask.random import Purpose, gumbel
from unmask.types import Proposal, State


@dataclass(frozen=True)
class ChoiceNoise:
    """score + scale·(1 − r)·g, with r = s/T and g standard Gumbel, or uniform in (0, 1).

    MaskGIT (2202.04200) uses scale 4.5; Token-Critic (2209.04439) anneals likewise. With
    annealed=False the factor 1 − r is left out.
    """

    order: Order
    scale: float
    kind: Literal["gumbel", "uniform"] = "gumbel"
    annealed: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise StrategyError(f"noise scale={self.scale!r}: pass a number ≥ 0")
        if self.kind not in ("gumbel", "uniform"):
            raise StrategyError(f"noise kind={self.kind!r}: pass 'gumbel' or 'uniform'")

    @property
    def needs(self) -> frozenset[str]:
        """What the order underneath needs."""
        return needs_of(self.order)

    @property
    def blind(self) -> bool:
        """Whether the order underneath reads nothing of the proposal."""
        return is_blind(self.order)

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) float64: the order's score with noise of each row's own seed."""
        score = self.order(state, proposal).double()
        u = order_uniform(state, Purpose.CHOICE)
        noise = gumbel(u) if self.kind == "gumbel" else u
        fade = 1 - state.progress if self.annealed else state.progress.new_ones(())
        return score + self.scale * fade.reshape(-1, 1) * noise
