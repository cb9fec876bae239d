"""Noise: the ids that the network gets at unknown positions. Shapes: B rows, N positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.calls import check_calls
from unmask.core.checks import is_number
from unmask.core.head import illegal_ids, mask_id_of
from unmask.core.part import Part
from unmask.core.random import Purpose
from unmask.core.ranking import best, on_grid, within_bound
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.errors import StrategyError


class Noise(Part, ABC):
    """Base of the ids that the network gets at unknown positions.

    keeps_sample: whether the state keeps the tokens last drawn at unknown positions.
    """

    keeps_sample: ClassVar[bool] = False

    @abstractmethod
    def show(self, state: State) -> Tensor | int:
        """Return the ids to put where `state.masked`: (B,N) int64, or one id for all."""


@dataclass(frozen=True)
class MaskToken(Noise):
    """The mask id of the network (absorbing diffusion)."""

    def show(self, state: State) -> int:
        """Return the mask id."""
        return mask_id_of(state.spec)


@dataclass(frozen=True)
class UniformIds(Noise):
    """Uniformly drawn ids of data, new at each step (DiffusionGemma's uniform corruption)."""

    def show(self, state: State) -> Tensor:
        """Return (B,N) int64, a function of each row's seed and step."""
        ids = _all_but(state.spec.vocab_size, illegal_ids(state.spec), state.device)
        return ids[(state.uniform(Purpose.NOISE_IDS) * len(ids)).long()]


@lru_cache(maxsize=16)
def _all_but(vocab: int, barred: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the ids that data may hold, int64."""
    with torch.inference_mode(False):
        return torch.tensor([i for i in range(vocab) if i not in barred], device=device)


@dataclass(frozen=True)
class PreviousSample(Noise):
    """The token last drawn at the position; before the first draw, the mask id."""

    keeps_sample = True

    def show(self, state: State) -> Tensor:
        """Return (B,N) int64."""
        return state.tokens


@dataclass(frozen=True)
class Accepted(UniformIds):
    """The token last drawn where it was accepted, elsewhere uniform ids, new at each step.

    DiffusionGemma's sampler. Every step draws all unknown positions of the open group anew, and
    accepts by entropy ascending the largest set with ΣH − max H ≤ bound nats (EB-Sampler
    2505.24857), H of the distribution drawn from.
    """

    bound: float = 0.1
    carry = "accepted"
    needs = frozenset({"sampling_entropy"})

    def __post_init__(self) -> None:
        if not (is_number(self.bound) and self.bound >= 0):
            raise StrategyError(f"bound={self.bound!r}: pass nats ≥ 0, such as 0.1")

    def init(self, state: State) -> Tensor:
        """Return (B,N) int64: the id accepted at each position, NEVER for none."""
        return torch.full_like(state.tokens, NEVER)

    def update(self, carry: Tensor, state: State, proposal: Proposal, change: Change) -> Tensor:
        assert proposal.sampling_entropy is not None
        score = on_grid(-proposal.sampling_entropy)
        drawn = state.within_open(proposal.queried & state.masked)
        accepted = best(score, drawn, within_bound(score, drawn, self.bound))
        return proposal.token.where(accepted, NEVER)

    def show(self, state: State) -> Tensor:
        accepted: Tensor = state.carries["accepted"]
        return accepted.where(accepted != NEVER, super().show(state))


check_calls(__name__, "Accepted", "MaskToken", "PreviousSample", "UniformIds")
