"""Spans: neighbours in time that are known or unknown together (MAGNeT 2401.04577).

Shapes: B rows, N positions, L levels interleaved (position = t·L + level), W the width of a span.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from unmask.checks import check_count
from unmask.ranking import best
from unmask.selection.by_pace import left_in, positions
from unmask.types import Proposal, State


@dataclass(frozen=True)
class Spans:
    """Best spans by pace. Spans are cut at multiples of width, or, overlapping, start everywhere.

    Cut: a span scores as its best unknown position, and the plan counts spans. Overlapping: the
    least likely spans stay unknown, likelihood being the sum of the scores, as many of them as fit
    into the planned number of positions; spans that reach into known positions come last.
    """

    width: int = 3
    levels: int = 1
    overlapping: bool = False
    pace = "planned"

    def __post_init__(self) -> None:
        for name, size in (("width", self.width), ("levels", self.levels)):
            check_count(name, size)

    @property
    def count(self) -> Callable[[Tensor], Tensor]:
        """What the plan counts: (B,N) bool -> (B,), spans or positions in there."""
        return positions if self.overlapping else self._spans_in

    def __call__(
        self, score: Tensor, scope: Tensor, state: State, proposal: Proposal | None = None
    ) -> Tensor:
        """(B,N) bool: the positions that are known afterwards."""
        left = left_in(scope, state, self.count)
        if self.overlapping:
            return scope & ~self._unlikely(score, scope, state, left)
        span, width = self._span(scope)
        lowest = score.new_full((len(score), width), float("-inf"))
        pooled = lowest.scatter_reduce(1, span.expand_as(scope), score, "amax")
        unknown = self._membership(scope, span, width)
        return best(pooled, unknown, unknown.sum(1) - left).gather(1, span.expand_as(scope)) & scope

    def _span(self, where: Tensor) -> tuple[Tensor, int]:
        """(N,): the span of each position of (B,N), and how many spans there are at most."""
        length, size = where.shape[1], self.levels * self.width
        place = torch.arange(length, device=where.device)
        span = place // self.levels // self.width * self.levels + place % self.levels
        return span, -(-length // size) * self.levels

    def _spans_in(self, where: Tensor) -> Tensor:
        return self._membership(where, *self._span(where)).sum(1)

    @staticmethod
    def _membership(where: Tensor, span: Tensor, width: int) -> Tensor:
        """(B,N) bool -> (B,spans) bool: which spans have a position in there."""
        counts = torch.zeros(len(where), width, dtype=torch.int64, device=where.device)
        return counts.index_add(1, span, where.long()) > 0

    def _unlikely(self, score: Tensor, scope: Tensor, state: State, left: Tensor) -> Tensor:
        """(B,N) bool: the unknown positions that stay so."""
        times = -(-score.shape[1] // self.levels)
        fill = times * self.levels - score.shape[1]

        def by_level(part: Tensor, value: float) -> Tensor:  # (B,N) -> (B·L,T)
            padded = pad(part, (0, fill), value=value).view(len(part), times, self.levels)
            return padded.transpose(1, 2).reshape(-1, times)

        unknown, real = by_level(scope, False), by_level(state.valid, False)
        logp = by_level(score.double(), 0.0).masked_fill(~unknown, 0.0)
        rank = self._rank(logp, real & ~unknown, real)
        windows = pad(rank, (self.width - 1, 0), value=times).unfold(1, self.width, 1)
        first = windows.amin(2).masked_fill(~unknown, times)  # (B·L,T): the first span over each
        allowed = left.repeat_interleave(self.levels).clamp(max=times).unsqueeze(1)
        cut = pad(first.sort(1).values, (0, 1), value=times).gather(1, allowed)
        stays = (first < cut).view(len(score), self.levels, times).transpose(1, 2)
        return stays.reshape(len(score), -1)[:, : score.shape[1]] & scope

    def _rank(self, logp: Tensor, known: Tensor, real: Tensor) -> Tensor:
        """(R,T) int64: the place of the span that starts at each time, the first to stay unknown 0.

        Ordered by known positions within, then by log-probability, then by time. Spans that would
        reach over the end of the row come behind all, but for one over a row shorter than a span.
        """
        rows, times = logp.shape

        def total(part: Tensor) -> Tensor:
            return pad(part, (0, self.width - 1)).unfold(1, self.width, 1).sum(2)

        start = torch.arange(times, device=logp.device)
        fits = (start + self.width <= real.sum(1, keepdim=True)) | (start == 0)
        order = total(logp).argsort(dim=1, stable=True)
        burden = total(known.long()).masked_fill(~fits, self.width + 1)
        order = order.gather(1, burden.gather(1, order).argsort(dim=1, stable=True))
        rank = torch.empty_like(order).scatter_(1, order, start.expand(rows, -1).contiguous())
        return rank.masked_fill(~fits, times)
