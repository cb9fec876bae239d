"""Spans of neighbouring times that become known together (MAGNeT 2401.04577).

Shapes: B rows, N positions, L levels interleaved (position = t·L + level), W the width of a span.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.commit.base import Commit
from unmask.commit.plans import CountPlan, as_plan
from unmask.core.arrays import arange
from unmask.core.checks import check_count, check_flag
from unmask.core.ranking import best
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError
from unmask.groups import Groups


@dataclass(frozen=True)
class TopSpans(Commit):
    """The best spans, as many as the plan says: cut at multiples of width, or overlapping.

    plan: a count of spans, or, if overlapping, of positions. width: times in a span. levels:
    codebook levels, interleaved. Without overlap, the score of a span is that of its best unknown
    position. With overlap, the spans with the lowest sum of scores stay unknown, as many as fit
    into the planned number of positions; spans with known positions are the last to stay unknown.
    """

    plan: CountPlan
    width: int = 3
    levels: int = 1
    overlapping: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", as_plan(self.plan, None))
        check_count("width", self.width)
        check_count("levels", self.levels)
        check_flag("overlapping", self.overlapping)
        if not self.overlapping and type(self.plan).by_position is not CountPlan.by_position:
            raise StrategyError(
                f"plan={self.plan!r} counts positions, but without overlap TopSpans counts spans: "
                "pass another plan, such as commit.Scheduled('cosine', 16), or overlapping=True"
            )

    def check_groups(self, groups: Groups | None) -> None:
        """Raise StrategyError for groups of other levels, or where levels overlap without any."""
        one_at_a_time = self.overlapping and self.levels > 1
        if groups is None:
            if one_at_a_time:
                raise StrategyError(
                    "overlapping spans of several levels need groups=Groups.levels(levels): their "
                    "plan is of one level at a time"
                )
            return
        by_level = groups.kind == "levels"
        if (by_level and groups.size != self.levels) or (one_at_a_time and not by_level):
            raise StrategyError(
                f"TopSpans(levels={self.levels}) cuts spans of {self.levels} interleaved levels, "
                f"and the groups are {groups.name}: pass groups=Groups.levels({self.levels})"
            )

    @property
    def count_plan(self) -> CountPlan:
        return self.plan

    def count(self, where: Tensor) -> Tensor:
        """Return (B,) int64: the spans with a position in `where` (B,N) bool, or its positions."""
        if self.overlapping:
            return where.sum(1)
        return self._membership(where, *self._span(where)).sum(1)

    def __call__(
        self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal | None = None
    ) -> Tensor:
        left = self._left(eligible, state)
        if self.overlapping:
            return eligible & ~self._unlikely(score, eligible, state, left)
        span, width = self._span(eligible)
        lowest = score.new_full((len(score), width), float("-inf"))
        pooled = lowest.scatter_reduce(1, span.expand_as(eligible), score, "amax")
        unknown = self._membership(eligible, span, width)
        chosen = best(pooled, unknown, unknown.sum(1) - left)
        return chosen.gather(1, span.expand_as(eligible)) & eligible

    def _span(self, where: Tensor) -> tuple[Tensor, int]:
        """(N,): the span of each position of (B,N), and how many spans there are at most."""
        length, size = where.shape[1], self.levels * self.width
        place = arange(length, where.device)
        span = place // self.levels // self.width * self.levels + place % self.levels
        return span, -(-length // size) * self.levels

    def _left(self, eligible: Tensor, state: State) -> Tensor:
        """(B,): what the plan leaves unknown of the eligible, fewer than are unknown now.

        Groups that are not open keep all their unknown positions, which the plan counts too.
        """
        outside, now = self.count(state.masked & ~eligible), self.count(state.masked)
        return torch.minimum(state.remaining[:, 0], now - 1).sub(outside).clamp(min=0)

    @staticmethod
    def _membership(where: Tensor, span: Tensor, width: int) -> Tensor:
        """(B,N) bool -> (B,spans) bool: which spans have a position in there."""
        counts = torch.zeros(len(where), width, dtype=torch.int64, device=where.device)
        return counts.index_add(1, span, where.long()) > 0

    def _unlikely(self, score: Tensor, eligible: Tensor, state: State, left: Tensor) -> Tensor:
        """(B,N) bool: the unknown positions that stay so."""
        times = -(-score.shape[1] // self.levels)
        fill = times * self.levels - score.shape[1]

        def by_level(part: Tensor, value: float) -> Tensor:  # (B,N) -> (B·L,T)
            padded = pad(part, (0, fill), value=value).view(len(part), times, self.levels)
            return padded.transpose(1, 2).reshape(-1, times)

        unknown, real = by_level(eligible, False), by_level(state.valid, False)
        logp = by_level(score.double(), 0.0).masked_fill(~unknown, 0.0)
        rank = self._rank(logp, real & ~unknown, real)
        windows = pad(rank, (self.width - 1, 0), value=times).unfold(1, self.width, 1)
        first = windows.amin(2).masked_fill(~unknown, times)  # (B·L,T): the first span over each
        allowed = left.repeat_interleave(self.levels).clamp(max=times).unsqueeze(1)
        cut = pad(first.sort(1).values, (0, 1), value=times).gather(1, allowed)
        stays = (first < cut).view(len(score), self.levels, times).transpose(1, 2)
        return stays.reshape(len(score), -1)[:, : score.shape[1]] & eligible

    def _rank(self, logp: Tensor, known: Tensor, real: Tensor) -> Tensor:
        """(R,T) int64: the place of the span that starts at each time, the first to stay unknown 0.

        Ordered by known positions within, then by log-probability, then by time. Spans that would
        reach over the end of the row come behind all, but for one over a row shorter than a span.
        """
        rows, times = logp.shape

        def total(part: Tensor) -> Tensor:
            return pad(part, (0, self.width - 1)).unfold(1, self.width, 1).sum(2)

        start = arange(times, logp.device)
        fits = (start + self.width <= real.sum(1, keepdim=True)) | (start == 0)
        order = total(logp).argsort(dim=1, stable=True)
        burden = total(known.long()).masked_fill(~fits, self.width + 1)
        order = order.gather(1, burden.gather(1, order).argsort(dim=1, stable=True))
        rank = torch.empty_like(order).scatter_(1, order, start.expand(rows, -1).contiguous())
        return rank.masked_fill(~fits, times)
