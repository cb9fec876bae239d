"""Groups: positions that are ranked together, one group after the other or side by side.

A group is a function of the position alone: blocks of text, levels of a codebook, tracks of a
protein, frames of a video. N positions, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.checks import check_count
from unmask.errors import StrategyError


@dataclass(frozen=True)
class Groups:
    """index: N -> (N,) int64, the group of each position, counted from 0.

    One after the other, in that order: only the lowest group with an unknown position is open, and
    each has a plan of its own. parallel: all are open at once, and each keeps to its own plan
    (DPLM-2 2410.13782). Make one with `blocks`, `levels` or `listed`.
    """

    index: Callable[[int], Tensor]
    parallel: bool = False
    name: str = "groups"

    @classmethod
    def blocks(cls, size: int, *, parallel: bool = False) -> Groups:
        """Neighbours: position // size (blocks left to right, frames of `size` tokens)."""
        check_count("size", size)
        return cls(lambda length: blocks(length, size), parallel, f"blocks of {size}")

    @classmethod
    def levels(cls, count: int, *, parallel: bool = False) -> Groups:
        """Interleaved: position % count (codebook levels or tracks, time by time)."""
        check_count("count", count)
        return cls(lambda length: interleaved(length, count), parallel, f"{count} levels")

    @classmethod
    def listed(cls, groups: Sequence[int] | Tensor, *, parallel: bool = False) -> Groups:
        """Given position by position; a canvas of another length raises StrategyError."""
        given = torch.as_tensor(groups)
        if given.dim() != 1 or given.is_floating_point() or given.dtype == torch.bool:
            raise StrategyError(
                f"groups of dtype {given.dtype} and shape {tuple(given.shape)}: pass one integer "
                "for each position, such as [0, 0, 1, 1]"
            )
        if len(given) == 0 or int(given.min()) < 0:
            raise StrategyError("groups are counted from 0: pass one integer ≥ 0 for each position")

        def index(length: int) -> Tensor:
            if length != len(given):
                raise StrategyError(
                    f"the groups cover {len(given)} positions and the canvas has {length}: pass "
                    "one group for each position of the canvas, or Groups.blocks(size)"
                )
            return given.long()

        return cls(index, parallel, f"{int(given.max()) + 1} groups")

    def of(self, length: int, device: torch.device | None = None) -> Tensor:
        """(N,) int64."""
        return self.index(length).to(device)


def blocks(length: int, size: int) -> Tensor:
    """(N,): position // size."""
    return torch.arange(length) // size


def interleaved(length: int, count: int) -> Tensor:
    """(N,): position % count, for codebooks laid out time by time: position = t·K + k."""
    return torch.arange(length) % count


def codebooks(count: int, times: int) -> Tensor:
    """(K·T,): the level of each position laid out level by level, position = k·T + t."""
    return torch.arange(count).repeat_interleave(times)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(H·W,) row and column of each position of a grid in row-major order."""
    cell = torch.arange(height * width)
    return cell // width, cell % width
