"""Parts that many presets bind alike: plans by a schedule, blocks, tracks, re-masking."""

from __future__ import annotations

from typing import Any

from unmask.commit import Commit, TopK
from unmask.core.checks import check_count, check_flag
from unmask.decoding.strategy import Strategy
from unmask.groups import Groups, Origin
from unmask.orders import Order, Probability
from unmask.revise import Never, Remask, Revise
from unmask.sampling import Sampling
from unmask.schedules import AnySchedule


def planned(
    name: str, order: Order, steps: int, schedule: AnySchedule, temperature: float, **more: Any
) -> Strategy:
    """Return a strategy that commits the best-scored positions, as many as a schedule says."""
    return Strategy(TopK(schedule, steps), order, Sampling(temperature), name=name, **more)


def in_blocks(
    name: str,
    commit: Commit,
    block: int | None,
    temperature: float,
    origin: Origin = "start",
    **more: Any,
) -> Strategy:
    """Return a strategy that goes by the probability of the token drawn, block by block.

    block=None takes the whole canvas.
    """
    groups = None if block is None else Groups.blocks(block, origin=origin)
    order, sampling = Probability(choose="after"), Sampling(temperature)
    return Strategy(commit, order, sampling, groups=groups, name=name, **more)


def track_groups(tracks: int, *, side_by_side: bool = False) -> Groups | None:
    """Return tracks interleaved position by position, or None for a single one."""
    check_count("tracks", tracks)
    return None if tracks == 1 else Groups.levels(tracks, side_by_side=side_by_side)


def remasking(remask: bool) -> Revise:
    """Return whether committed tokens compete with the new ones."""
    check_flag("remask", remask)
    return Remask() if remask else Never()
