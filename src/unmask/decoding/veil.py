"""Veils: what the network is shown at unknown positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from unmask.head import illegal_ids, mask_id_of, vocab_of
from unmask.random import Purpose, uniform
from unmask.types import Denoiser, State


class Veil(Protocol):
    """(state, denoiser) -> (B,N) int64: the tokens to show, used where `state.masked`.

    keeps_draw: True where the state is to hold what was last drawn at unknown positions.
    """

    keeps_draw: bool

    def __call__(self, state: State, denoiser: Denoiser) -> Tensor: ...


@dataclass(frozen=True)
class MaskId:
    """The mask id of the denoiser."""

    keeps_draw = False

    def __call__(self, state: State, denoiser: Denoiser) -> Tensor:
        """(B,N)."""
        return torch.full_like(state.tokens, mask_id_of(denoiser))


@dataclass(frozen=True)
class RandomIds:
    """Uniformly drawn ids of data, new at each step (DiffusionGemma's uniform corruption)."""

    keeps_draw = False

    def __call__(self, state: State, denoiser: Denoiser) -> Tensor:
        """(B,N), a function of each row's own seed."""
        ids = _all_but(vocab_of(denoiser), tuple(illegal_ids(denoiser)), state.tokens.device)
        place = torch.arange(state.tokens.shape[1], device=state.tokens.device)
        u = uniform(state.seed[:, None], state.step[:, None], place, Purpose.VEIL)[..., 0]
        return ids[(u * len(ids)).long()]


@lru_cache(maxsize=16)
def _all_but(vocab: int, barred: tuple[int, ...], device: torch.device) -> Tensor:
    """The ids of data, int64."""
    with torch.inference_mode(False):
        return torch.tensor([i for i in range(vocab) if i not in barred], device=device)


@dataclass(frozen=True)
class LastDraw:
    """What was last drawn at the position; before that, the mask id, which `init` puts there."""

    keeps_draw = True

    def __call__(self, state: State, denoiser: Denoiser) -> Tensor:
        """(B,N)."""
        return state.tokens
