"""ReMDM: a random number decides whether each position is known or unknown (2503.00307).

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unmask.commit.base import Commit
from unmask.commit.plans import AllSteps, CountPlan
from unmask.core.checks import check_share
from unmask.core.random import Purpose
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.schedules import AnySchedule, resolve

# The plateau of the loop: its share of known positions, and when it begins and ends (section 4.2).
HELD, BEGIN, END = 0.9, 0.45, 0.95


@dataclass(frozen=True)
class ReMDM(Commit):
    """Unknown → known with probability (b − (1−σ)a)/(1 − a), known → unknown with σ (eq. 7).

    a and b are the shares α = 1 − γ known before and after the step. σ is at most
    σ_max = min(1, (1−b)/a): "cap" min(η, σ_max), "rescale" η·σ_max, "confidence" σ_max times a
    softmax of −p over the committed tokens (p when they were committed), "loop" min(η, σ_max) while
    α is held at 0.9, and 0 before and after. The choice reads nothing of the network, so the head
    runs only where positions become known.
    """

    schedule: AnySchedule
    steps: int = 64
    variant: Literal["cap", "rescale", "confidence", "loop"] = "cap"
    eta: float = 0.02
    takes_all_steps = True

    def __post_init__(self) -> None:
        AllSteps(self.steps)
        if isinstance(self.schedule, CountPlan):
            raise StrategyError(
                f"schedule={self.schedule!r} is a plan: pass a schedule, as in "
                "commit.ReMDM('linear', 64)"
            )
        object.__setattr__(self, "schedule", resolve(self.schedule))
        known = ("cap", "rescale", "confidence", "loop")
        if self.variant not in known:
            raise StrategyError(f"variant={self.variant!r}: pass one of {', '.join(known)}")
        check_share("eta", self.eta)

    @property
    def count_plan(self) -> CountPlan:
        return AllSteps(self.steps)

    def __call__(
        self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal | None = None
    ) -> Tensor:
        s, steps = state.group_step.double(), state.group_steps.double()
        before, after = self._known((s - 1) / steps), self._known(s / steps)
        most = ((1 - after) / before.clamp(min=1e-12)).clamp(max=1.0)
        lose = self._sigma(most, before, after, state)  # (B,N)
        stay = torch.zeros_like(lose) if self.variant == "confidence" else lose
        before, after = before.unsqueeze(1), after.unsqueeze(1)
        # A row that is all known has nothing to gain; 1 − a is 0 there.
        gain = (after - (1 - stay) * before) / (1 - before).clamp(min=1e-12)
        u = state.uniform(Purpose.REVEAL)
        return torch.where(state.masked, u < gain, u >= lose) & eligible

    def _known(self, r: Tensor) -> Tensor:
        """(B,) float64: α at r, exactly 1 at the end."""
        if self.variant != "loop":
            return (1 - resolve(self.schedule)(r)).masked_fill(r >= 1, 1.0)
        rising = HELD * r / BEGIN
        ending = HELD + (1 - HELD) * (r - END) / (1 - END)
        return torch.where(r <= BEGIN, rising, torch.where(r <= END, HELD, ending).clamp(max=1.0))

    def _sigma(self, most: Tensor, before: Tensor, after: Tensor, state: State) -> Tensor:
        """(B,N) float64: how likely a known position becomes unknown."""
        if self.variant == "confidence":
            committed = state.editable & ~state.masked
            doubt = (-state.logprob.double().exp()).masked_fill(~committed, float("-inf"))
            return most.unsqueeze(1) * doubt.softmax(1).nan_to_num(0.0)
        sigma = self.eta * most if self.variant == "rescale" else most.clamp(max=self.eta)
        if self.variant == "loop":
            resting = (before >= HELD - 1e-9) & ((after - before).abs() < 1e-9)
            sigma = sigma.where(resting, 0.0)
        return sigma.unsqueeze(1).expand(state.masked.shape)
