"""Stopping rules. A strategy has a list of them; each may end a row before its plan does.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unmask.core.checks import check_choice, is_integer, is_number
from unmask.core.ids import as_ids
from unmask.core.part import Part
from unmask.core.rows import UNLIMITED
from unmask.core.state import NEVER, Change, Proposal, State
from unmask.errors import StrategyError


class Stop(Part):
    """Base of stopping rules.

    forwards: the most network passes of a row, None for no limit. end_id: the id that ends a
    sequence, None for none; also, fill: as in `EndOfSequence`.
    """

    forwards: int | None = None
    end_id: int | None = None
    also: Sequence[int] = ()
    fill: int | None = None

    @property
    def fills_groups(self) -> bool:
        """Whether a step may fill a group by this rule: whether it has a `__call__` of its own."""
        return type(self).__call__ is not Stop.__call__

    def __call__(self, state: State, proposal: Proposal) -> Tensor | None:
        """Return (B,) bool: rows that commit all unknown positions of the open group now."""
        return None


@dataclass(frozen=True)
class Budget(Stop):
    """The most network passes of a row; the last one commits all unknown positions.

    Of groups that open one after the other, each later group has one pass in reserve: the open
    group is filled while one step for each later group is left.
    """

    forwards: int

    def __post_init__(self) -> None:
        if not is_integer(self.forwards, 1):
            raise StrategyError(f"Budget({self.forwards!r}): pass 1 or more network passes")
        if self.forwards > UNLIMITED:
            raise StrategyError(
                f"Budget({self.forwards}): pass at most {UNLIMITED} network passes, or leave the "
                "rule out"
            )


@dataclass(frozen=True)
class EndOfSequence(Stop):
    """A row ends at the first end_id with no unknown position before; the rest becomes end_id.

    also: further ids that end a row. fill: the id that the rest becomes, if it is not end_id.
    """

    end_id: int
    also: Sequence[int] = ()
    fill: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "also", as_ids("also", self.also))
        for value in (self.end_id, self.end_id if self.fill is None else self.fill):
            if not is_integer(value, 0):
                raise StrategyError(
                    f"EndOfSequence({value!r}): pass the id that ends a sequence, such as 2"
                )


@dataclass(frozen=True)
class WideGap(Stop):
    """A group is filled when the largest logit leads the second by enough, on average.

    Prophet (2508.19982). The mean is over the unknown positions of the open group, those with one
    legal id aside; enough is `early` in the first third of its steps, then `middle`, then `late`.
    """

    early: float = 7.5
    middle: float = 5.0
    late: float = 2.5
    needs = frozenset({"gap"})

    def __post_init__(self) -> None:
        for name in ("early", "middle", "late"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise StrategyError(f"{name}={value!r}: pass a gap of logits above 0, such as 5.0")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,) bool."""
        assert proposal.gap is not None
        open_ = state.within_open(state.masked) & (proposal.gap < torch.inf)
        count = open_.sum(1)
        mean = proposal.gap.masked_fill(~open_, 0.0).sum(1, dtype=torch.float64) / count
        taken, steps = 3 * (state.group_step - 1), state.group_steps
        enough = torch.where(taken < 2 * steps, self.middle, self.late)
        enough = torch.where(taken < steps, self.early, enough)
        return (mean >= enough) | (count == 0)


@dataclass(frozen=True)
class StableAndConfident(Stop):
    """A group is filled when its likeliest ids did not change and its mean entropy is below nats.

    Over the unknown positions of the open group. stability: how many steps before are compared.
    of: whose entropy, the "model"'s, or of the distribution that is drawn from, "sampling"
    (DiffusionGemma).
    """

    nats: float = 0.005
    stability: int = 1
    of: Literal["model", "sampling"] = "model"

    def __post_init__(self) -> None:
        if not (is_number(self.nats) and self.nats > 0):
            raise StrategyError(f"nats={self.nats!r}: pass an entropy above 0, such as 0.005")
        if not is_integer(self.stability, 0):
            raise StrategyError(f"stability={self.stability!r}: pass a number of steps, such as 1")
        check_choice("of", self.of, _ENTROPY)

    @property
    def carry(self) -> str:
        return f"likeliest of {self.stability} steps"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({_ENTROPY[self.of], "top_token"})

    def init(self, state: State) -> Tensor:
        """Return (B,N,stability) int64: the likeliest ids of the steps before, NEVER for none."""
        return torch.full((*state.tokens.shape, self.stability), NEVER, device=state.device)

    def update(self, carry: Tensor, state: State, proposal: Proposal, change: Change) -> Tensor:
        assert proposal.top_token is not None
        now = proposal.top_token.masked_fill(~proposal.queried, NEVER)
        return torch.cat([carry, now.unsqueeze(2)], 2)[..., 1:]

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,) bool."""
        assert proposal.top_token is not None
        entropy: Tensor = getattr(proposal, _ENTROPY[self.of])
        unknown = state.within_open(state.masked)
        same = (state.carries[self.carry] == proposal.top_token.unsqueeze(2)).all(2) | ~unknown
        mean = entropy.masked_fill(~unknown, 0.0).sum(1) / unknown.sum(1).clamp(min=1)
        rest: Tensor = same.all(1) & (mean < self.nats)
        return rest


_ENTROPY = {"model": "entropy", "sampling": "sampling_entropy"}
