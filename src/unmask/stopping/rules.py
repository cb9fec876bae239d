"""Stopping rules. A strategy has a list of them; each may end a row before its plan does.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.checks import is_integer, is_number
from unmask.core.history import ComparesSteps
from unmask.core.part import Part
from unmask.core.rows import UNLIMITED
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError


class Stop(Part):
    """Base of stopping rules.

    forwards: the most network passes of a row, None for no limit. end_id: the id that ends a
    sequence, None for none.
    """

    forwards: int | None = None
    end_id: int | None = None

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
    """A row ends at the first end_id with no unknown position before; the rest becomes end_id."""

    end_id: int

    def __post_init__(self) -> None:
        if not is_integer(self.end_id, 0):
            raise StrategyError(
                f"EndOfSequence({self.end_id!r}): pass the id that ends a sequence, such as 2"
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
class StableAndConfident(ComparesSteps, Stop):
    """A group is filled when its likeliest ids did not change and its mean entropy is below nats.

    Over the unknown positions of the open group, compared with the step before. The stopping rule
    of DiffusionGemma's sampler.
    """

    nats: float = 0.05
    needs = frozenset({"entropy", "divergence", "top_token"})

    def __post_init__(self) -> None:
        if not (is_number(self.nats) and self.nats > 0):
            raise StrategyError(f"nats={self.nats!r}: pass an entropy above 0, such as 0.05")

    def __call__(self, state: State, proposal: Proposal) -> Tensor:
        """(B,) bool."""
        assert proposal.entropy is not None
        unknown = state.within_open(state.masked)
        same = (proposal.top_token == state.carries[self.carry].ids[..., 0]) | ~unknown
        mean = proposal.entropy.masked_fill(~unknown, 0.0).sum(1) / unknown.sum(1).clamp(min=1)
        rest: Tensor = same.all(1) & (mean < self.nats)
        return rest
