"""Noise: the ids that the network gets at unknown positions. Shapes: B rows, N positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from unmask.core.calls import check_calls
from unmask.core.head import illegal_ids, mask_id_of
from unmask.core.random import Purpose
from unmask.core.state import State


class Noise(ABC):
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


check_calls(__name__, "MaskToken", "PreviousSample", "UniformIds")
