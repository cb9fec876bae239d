"""Blocks whose ends are chosen as they open (AdaBlock 2509.26432).

Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.commit.adaptive import Adaptive
from unmask.core.arrays import arange
from unmask.core.checks import check_count, check_share
from unmask.core.ids import as_ids
from unmask.core.ranking import best, log_on_grid, on_grid
from unmask.core.state import Change, Proposal, State
from unmask.errors import StrategyError
from unmask.groups import Groups


@dataclass(frozen=True)
class BlocksToDelimiters(Adaptive):
    """`Threshold` in blocks left to right, each up to its most probable delimiter.

    AdaBlock (2509.26432). A block begins at the first unknown position. It ends behind the position
    whose drawn token is one of `delimiters` and the likeliest of these, among the next
    ⌊window · positions to generate⌋ positions, if its p ≥ delimiter_threshold; or else after
    `block` positions. The head is asked at all unknown positions, at every step.
    """

    delimiters: Sequence[int]
    delimiter_threshold: float = 0.3
    threshold: float = 0.9
    block: int = 32
    window: float = 0.25
    cap: int | None = None
    compares = "probability"
    grows = False
    carry = "block_end"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delimiters", as_ids("delimiters", self.delimiters))
        if not self.delimiters or min(self.delimiters) < 0:
            raise StrategyError(
                f"delimiters={self.delimiters!r}: pass one id or more of tokens that end a unit of "
                "meaning, such as [198], a newline in many vocabularies"
            )
        for name in ("delimiter_threshold", "threshold", "window"):
            check_share(name, getattr(self, name))
        check_count("block", self.block)
        self._check_cap()

    def check_groups(self, groups: Groups | None) -> None:
        """Raise StrategyError for groups: the rule has blocks of its own."""
        if groups is not None:
            raise StrategyError(
                f"BlocksToDelimiters makes blocks of its own, and the groups are {groups.name}: "
                "leave groups= out"
            )

    def init(self, state: State) -> Tensor:
        """Return (B,) int64: the end of the open block, 0 before there is one.

        Raises StrategyError for delimiters outside the vocabulary.
        """
        vocab = state.spec.vocab_size
        outside = [each for each in self.delimiters if each >= vocab]
        if outside:
            raise StrategyError(
                f"delimiters={list(self.delimiters)}: {outside[0]} is outside the vocabulary of "
                f"{vocab}: pass ids from 0 to {vocab - 1}"
            )
        return torch.zeros(len(state), dtype=torch.int64, device=state.device)

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        end = self._end(state.carries[self.carry], state, proposal)
        inside = eligible & (arange(score.shape[1], score.device) < end.unsqueeze(1))
        # A reviser of one's own may hold back all of a block.
        inside = inside | (eligible & ~inside.any(1, keepdim=True))
        return self.sure(score >= log_on_grid(self.threshold), score, inside)

    def update(self, carry: Tensor, state: State, proposal: Proposal, change: Change) -> Tensor:
        """Return (B,) int64: the end of the block that this step was in."""
        return self._end(carry, state, proposal)

    def _end(self, before: Tensor, state: State, proposal: Proposal) -> Tensor:
        """(B,) int64: the end of the open block, `before` while something before it is unknown."""
        place, unknown = arange(state.masked.shape[1], state.device), state.masked
        goes_on = (unknown & (place < before.unsqueeze(1))).any(1)
        start = torch.where(unknown, place, len(place)).amin(1)
        reach = start + (state.editable.sum(1).double() * self.window).long()
        delimiters = torch.tensor(self.delimiters, device=state.device)
        logprob = on_grid(proposal.logprob)
        ends = unknown & (place < reach.unsqueeze(1)) & torch.isin(proposal.token, delimiters)
        ends = ends & (logprob >= log_on_grid(self.delimiter_threshold))
        likeliest = best(logprob, ends, torch.ones_like(start))
        behind = likeliest.long().argmax(1) + 1
        fresh = torch.where(likeliest.any(1), behind, start + self.block)
        return torch.where(goes_on, before, fresh)
