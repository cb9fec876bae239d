"""Growth by the confidence of the end (DAEDAL 2508.00819). Shapes: B rows, N positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.checks import check_count, check_share
from unmask.core.ranking import best, log_on_grid, on_grid
from unmask.core.state import Proposal, State
from unmask.growth.base import Extension, Growth


@dataclass(frozen=True)
class EndConfidence(Growth):
    """Longer while the end is not predicted with confidence (DAEDAL 2508.00819).

    The confidence of the end is the sum of p(end) over the last `window` positions at which the end
    is the likeliest id, divided by `window`. Before anything is committed: while it is below
    `enough`, `expansion` unknown positions are put at the end of the row, and nothing is committed;
    then window // 2 known ends, as the authors' code does. Later: at a step at which it is below
    `complete`, the least probable draw of the open group that is not committed becomes `expansion`
    unknown positions, if its p < low.
    """

    initial: int = 64
    expansion: int = 8
    window: int = 32
    enough: float = 0.5
    complete: float = 0.9
    low: float = 0.1
    end_id: int | None = None
    needs = frozenset({"top_logprob", "top_token"})
    reads_known = True

    def __post_init__(self) -> None:
        self._check_sizes()
        check_count("window", self.window)
        for name in ("enough", "complete", "low"):
            check_share(name, getattr(self, name))

    def waits(self, state: State, proposal: Proposal) -> Tensor:
        """Return (B,) bool: rows of which nothing is known yet, and that are made longer."""
        blank: Tensor = (state.masked == state.editable).all(1) & (state.length < state.most)
        return blank if self.window > 1 else blank & self._unsure(state, proposal, self.enough)

    def __call__(self, state: State, proposal: Proposal, after: State) -> Extension:
        room, waits = state.most - state.length, self.waits(state, proposal)
        unsure = self._unsure(state, proposal, self.enough)
        longer = room.clamp(max=self.expansion).where(waits & unsure, 0)
        ends = room.clamp(max=self.window // 2).where(waits & ~unsure, 0)
        logprob = on_grid(proposal.logprob)
        doubtful = state.within_open(after.masked) & (logprob < log_on_grid(self.low))
        least = best(-logprob, doubtful, torch.ones_like(room))
        split = ~waits & (room > 0) & least.any(1) & self._unsure(state, proposal, self.complete)
        place = least.long().argmax(1).where(split, state.length)
        return Extension(place, longer + (self.expansion - 1) * split, ends)

    def _unsure(self, state: State, proposal: Proposal, bound: float) -> Tensor:
        """(B,) bool: rows in which the confidence of the end is below the bound."""
        assert proposal.top_logprob is not None
        likeliest = state.editable & (proposal.top_token == self.end(state.spec))
        last = likeliest & (likeliest.flip(1).cumsum(1).flip(1) <= self.window)
        p = on_grid(proposal.top_logprob).double().exp().masked_fill(~last, 0.0)
        return p.sum(1) / self.window < bound
