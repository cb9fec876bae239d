"""Groups: positions that are ranked together, one group after the other or side by side.

A group is a function of the position: blocks of text, levels of a codebook, tracks of a protein,
frames of a video. B rows, N positions, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.core.calls import check_calls
from unmask.core.checks import check_choice, check_count, check_flag, first_of_other_length
from unmask.core.ids import are_integers, as_ids
from unmask.errors import StrategyError

Kind = Literal["blocks", "levels", "listed"]
Origin = Literal["start", "prompt"]
"""Where blocks are counted from: position 0, or the first position of each row to generate."""


@dataclass(frozen=True)
class Groups:
    """The group of each position. Make one with `blocks`, `levels` or `listed`.

    Groups open one after the other, from group 0: only positions of the lowest group with an
    unknown position may be committed, and each group has its own steps. side_by_side: all groups
    are open at once, and each follows its own plan (DPLM-2 2410.13782).
    lead_every: of blocks, the first of so many positions is a group of its own, before the rest of
    its block (Fast-dLLM v2 2509.26328).
    Raises StrategyError for a kind, origin or size that does not exist.
    """

    kind: Kind
    size: int = 1
    ids: tuple[int, ...] = ()
    origin: Origin = "start"
    side_by_side: bool = False
    lead_every: int | None = None

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        check_choice("origin", self.origin, get_args(Origin))
        check_count("size", self.size)
        check_flag("side_by_side", self.side_by_side)
        object.__setattr__(self, "ids", as_ids("ids", self.ids))
        if self.kind == "listed" and (not self.ids or min(self.ids) < 0):
            raise StrategyError("groups are counted from 0: pass one integer ≥ 0 for each position")
        unread = {
            "ids": self.ids and self.kind != "listed",
            "size": self.size != 1 and self.kind == "listed",
            "origin": self.origin != "start" and self.kind != "blocks",
            "lead_every": self.lead_every is not None and self.kind != "blocks",
        }
        for name, given in unread.items():
            if given:
                raise StrategyError(
                    f"{name}={getattr(self, name)!r} means nothing for groups of the kind "
                    f"{self.kind!r}: leave it out; use Groups.blocks, levels or listed"
                )
        if self.lead_every is not None:
            check_count("lead_every", self.lead_every)
            if self.lead_every % self.size:
                raise StrategyError(
                    f"lead_every={self.lead_every} is not a multiple of size={self.size}, so that "
                    "the leading positions would not begin blocks: pass a size that divides "
                    f"{self.lead_every}"
                )

    @classmethod
    def blocks(
        cls,
        size: int,
        *,
        origin: Origin = "start",
        side_by_side: bool = False,
        lead_every: int | None = None,
    ) -> Groups:
        """Return blocks: position // size, counted from 0 or from the end of each row's prompt.

        lead_every: see above, a multiple of size.
        """
        return cls("blocks", size, origin=origin, side_by_side=side_by_side, lead_every=lead_every)

    @classmethod
    def levels(cls, count: int, *, side_by_side: bool = False) -> Groups:
        """Return interleaved groups: position % count (codebook levels or tracks)."""
        check_count("count", count)
        return cls("levels", count, side_by_side=side_by_side)

    @classmethod
    def listed(cls, groups: Sequence[int] | Tensor, *, side_by_side: bool = False) -> Groups:
        """Return groups listed position by position, (N,); other lengths raise StrategyError."""
        try:
            given = torch.as_tensor(groups)
        except (TypeError, ValueError, RuntimeError):
            given = torch.zeros(0)
        if given.dim() != 1 or not are_integers(given):
            raise StrategyError(
                f"groups={groups!r}, of dtype {given.dtype} and shape {tuple(given.shape)}: pass "
                "one integer for each position, such as [0, 0, 1, 1]"
            )
        return cls("listed", ids=tuple(given.tolist()), side_by_side=side_by_side)

    @property
    def name(self) -> str:
        """A description, such as "blocks of 32" or "4 levels"."""
        if self.kind == "listed":
            return f"{max(self.ids) + 1} groups"
        if self.kind == "levels":
            return f"{self.size} levels"
        lead = "" if self.lead_every is None else f", the first of every {self.lead_every} alone"
        origin = " from the prompt" if self.origin == "prompt" else ""
        return f"blocks of {self.size}{origin}{lead}"

    def check_lengths(self, lengths: np.ndarray) -> None:
        """Raise StrategyError unless rows of these lengths (0: nothing to generate) have groups."""
        row = first_of_other_length(lengths, len(self.ids)) if self.kind == "listed" else None
        if row is not None:
            raise StrategyError(
                f"the groups list {len(self.ids)} positions and row {row} has {lengths[row]}: pass "
                "one group for each position of a row, or Groups.blocks(size)"
            )

    def of(self, editable: Tensor) -> Tensor:
        """Return (B,N) int64: the group of each position, given editable (B,N) bool."""
        length, device = editable.shape[1], editable.device
        if self.kind == "blocks" and self.origin == "prompt":
            place = torch.arange(length, device=device)
            start = torch.where(editable, place, length).amin(1, keepdim=True)
            return self._block((place - start).clamp(min=0))
        return self._by_position(length).to(device).expand(editable.shape)

    def _by_position(self, length: int) -> Tensor:
        if self.kind != "listed":
            place = torch.arange(length)
            return self._block(place) if self.kind == "blocks" else place % self.size
        if length < len(self.ids):
            self.check_lengths(np.array([length]))
        return pad(torch.tensor(self.ids), (0, length - len(self.ids)))  # group 0 at padding

    def _block(self, place: Tensor) -> Tensor:
        """Return the block of places counted from the first one, with leading positions before."""
        if self.lead_every is None:
            return place // self.size
        follows = (place % self.lead_every > 0).long()
        return place // self.size + place // self.lead_every + follows


check_calls(__name__, "Groups")
