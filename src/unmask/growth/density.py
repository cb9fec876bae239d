"""Growth by the density of ends (ρ-EOS 2601.22527). Shapes: B rows, N positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.arrays import arange
from unmask.core.checks import check_share, is_integer
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.growth.base import Extension, Growth

SEGMENT = 0.1  # of density: each further one doubles the change
DOUBLINGS = 3
_ROUNDING = 1e-9  # a gap of 3/10 − 1/10 is two segments


@dataclass(frozen=True)
class EndDensity(Growth):
    """Longer or shorter by the share of unknown positions that predict the end (ρ-EOS 2601.22527).

    ρ is the share of unknown positions at which the end is the likeliest id. Where it is below
    `low`, unknown positions are put before the first known end, or at the end of the row; where it
    is above `high`, unknown positions and ends are taken from the end of the row, never another
    known token: `expansion` of them if ρ is at most a tenth away, and for each further tenth twice
    as many, up to eight times. Only at the first `adjustments` steps of a row, and while it is
    shorter than its canvas.
    """

    initial: int = 64
    expansion: int = 8
    low: float = 0.4
    high: float = 0.6
    adjustments: int = 64
    end_id: int | None = None
    needs = frozenset({"top_token"})

    def __post_init__(self) -> None:
        self._check_sizes()
        check_share("low", self.low)
        check_share("high", self.high)
        if self.low > self.high:
            raise StrategyError(
                f"low={self.low} and high={self.high}: pass a lower bound that is at most the upper"
            )
        if not is_integer(self.adjustments, 0):
            raise StrategyError(
                f"adjustments={self.adjustments!r}: pass a number of steps, such as 64"
            )

    def __call__(self, state: State, proposal: Proposal, after: State) -> Extension:
        end, room = self.end(state.spec), state.most - state.length
        predicted = state.masked & (proposal.top_token == end)
        density = predicted.sum(1).double() / state.masked.sum(1).clamp(min=1)
        runs = (room > 0) & (state.step < self.adjustments)
        longer, shorter = runs & (density < self.low), runs & (density > self.high)
        count = self._count(torch.where(longer, self.low - density, density - self.high))
        known, is_end = after.editable & ~after.masked, after.tokens == end
        place = arange(after.tokens.shape[1], after.device)
        first = place.where(known & is_end, after.tokens.shape[1]).amin(1)
        kept = (place + 1).where(known & ~is_end, 0).amax(1).maximum(state.first)
        taken = count.minimum(state.length - kept)
        masks = count.minimum(room).where(longer, 0) - taken.where(shorter, 0)
        return Extension(first.minimum(state.length), masks, torch.zeros_like(masks))

    def _count(self, gap: Tensor) -> Tensor:
        """(B,) int64: the positions of a change, from how far the density is outside, (B,)."""
        segments = torch.ceil(gap / SEGMENT - _ROUNDING).clamp(1, DOUBLINGS + 1).long()
        return self.expansion * 2 ** (segments - 1)
