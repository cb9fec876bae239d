"""Adaptive rules that read where positions are: neighbours of an anchor, runs of unknown ones.

Shapes: B rows, N positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from unmask.commit.adaptive import Adaptive
from unmask.core.arrays import arange
from unmask.core.checks import check_count, check_share
from unmask.core.ranking import log_on_grid
from unmask.core.state import Proposal, State


class _TwoBounds(Adaptive):
    """A rule with a bound for all positions, and a lower one for some. A higher one adds none."""

    threshold: float
    low: float
    compares = "probability"

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        check_share("low", self.low)
        self._check_cap()


@dataclass(frozen=True)
class NearAnchors(_TwoBounds):
    """All with c ≥ threshold (anchors), and with c ≥ low at most `radius` positions from one.

    LocalLeap (2510.07081); the best one if none is sure. Anchors are positions that this step
    commits, as in the code read, so a neighbour is one in the open group. c is exp(score), as in
    `Threshold`.
    """

    threshold: float = 0.9
    low: float = 0.75
    radius: int = 4
    cap: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("radius", self.radius)

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        anchor = (score >= log_on_grid(self.threshold)) & eligible
        reach = min(self.radius, score.shape[1])
        near = max_pool1d(anchor.float(), 2 * reach + 1, stride=1, padding=reach) > 0
        return self.sure(anchor | (near & (score >= log_on_grid(self.low))), score, eligible)


@dataclass(frozen=True)
class BestOfRuns(_TwoBounds):
    """The best of every run of unknown positions if c > low, and all with c > threshold.

    Hierarchical decoding (2510.08666); the best one if none is sure. A run is as long as no known
    position, prompt or end of the open group interrupts it. c is exp(score), as in `Threshold`.
    """

    threshold: float = 0.9
    low: float = 0.4
    cap: int | None = None

    def __call__(self, score: Tensor, eligible: Tensor, state: State, proposal: Proposal) -> Tensor:
        sure = self._best_of_runs(score, eligible) & (score > log_on_grid(self.low))
        return self.sure(sure | (score > log_on_grid(self.threshold)), score, eligible)

    @staticmethod
    def _best_of_runs(score: Tensor, eligible: Tensor) -> Tensor:
        """(B,N) bool: the best-scored position of each run, the first of equals."""
        length = score.shape[1]
        before = torch.cat([torch.zeros_like(eligible[:, :1]), eligible[:, :-1]], 1)
        run = (eligible & ~before).cumsum(1)  # from 1 within runs
        lowest = score.new_full((len(score), length + 1), -torch.inf)
        most = lowest.scatter_reduce(1, run, score, "amax").gather(1, run)
        place = arange(length, score.device).expand_as(run)
        equal = place.where(eligible & (score == most), length)
        first = run.new_full((len(run), length + 1), length)
        return place == first.scatter_reduce(1, run, equal, "amin").gather(1, run)
