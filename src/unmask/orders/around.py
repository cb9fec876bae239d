"""Orders that change the scores of another: weighted at committed positions, or with noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import to_device
from unmask.core.checks import check_flag, is_number
from unmask.core.random import Purpose, gumbel
from unmask.core.rows import Now
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.orders.base import Order, as_order


class _Inner:
    """An attribute that is the inner order's."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, around: Around | None, owner: type) -> Any:
        return self if around is None else getattr(around.order, self.name)


class Around(Order):
    """Base of orders that change the scores of another, `order`, and share its declarations."""

    order: Order
    blind = _Inner()
    needs = _Inner()
    stored = _Inner()
    ranks_draws = _Inner()
    carry = _Inner()
    check_lengths = _Inner()
    init = _Inner()
    update = _Inner()

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", as_order(self.order))


@dataclass(frozen=True)
class Weighted(Around):
    """Another order's score, times eta at committed positions (P2 2502.03540, algorithm 1).

    If scores are log-probabilities, eta > 1 makes re-masking of committed tokens likelier, and
    eta < 1 makes it less likely.
    """

    order: Order
    eta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.eta) and self.eta >= 0):
            raise StrategyError(f"eta={self.eta!r}: pass a number ≥ 0, such as 1.0")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        score = self.order(state, proposal)
        if self.eta == 1:
            return score
        # −inf is the score of a token that filters drop, and 0 · −inf would be NaN.
        finite = score.clamp(min=torch.finfo(score.dtype).min) if self.eta == 0 else score
        return score.where(state.masked, finite * self.eta)


@dataclass(frozen=True)
class ChoiceNoise(Around):
    """score + scale·(1 − r)·g, with r = s/T and g standard Gumbel, or uniform in (0, 1).

    MaskGIT (2202.04200) uses scale 4.5; Token-Critic (2209.04439) anneals likewise. With
    annealed=False the factor 1 − r is left out; with inclusive it is (T − s)/(T − 1), which starts
    at 1 (aMUSEd 2401.01808).
    """

    order: Order
    scale: float
    kind: Literal["gumbel", "uniform"] = "gumbel"
    annealed: bool = True
    inclusive: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.scale) and self.scale >= 0):
            raise StrategyError(f"noise scale={self.scale!r}: pass a number ≥ 0, such as 4.5")
        if self.kind not in ("gumbel", "uniform"):
            raise StrategyError(f"noise kind={self.kind!r}: pass 'gumbel' or 'uniform'")
        for name in ("annealed", "inclusive"):
            check_flag(name, getattr(self, name))
        if self.inclusive and not self.annealed:
            raise StrategyError(
                "inclusive=True chooses how noise is annealed, and annealed=False turns that off: "
                "leave one of them out"
            )

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,N) float64: the order's score with noise of each row's own seed."""
        score = self.order(state, proposal)
        if self.scale == 0:
            return score
        u = state.uniform(Purpose.CHOICE)
        noise = gumbel(u) if self.kind == "gumbel" else u
        if not self.annealed:
            return score + self.scale * noise
        scale = to_device(self.scale * self._fade(state.rows.now), state.device)
        return score + scale.unsqueeze(1) * noise

    def _fade(self, now: Now) -> np.ndarray:
        """(B,) float64."""
        if not self.inclusive:
            return 1 - now.progress
        left, steps = now.group_steps - now.group_step, now.group_steps - 1
        return np.where(steps > 0, left / np.maximum(steps, 1), 1.0)
