"""Helpers of presets: blocks, tracks, and whether committed tokens compete too."""

from __future__ import annotations

from unmask.core.checks import check_count, check_flag
from unmask.groups import Groups, Origin
from unmask.revise import Never, Remask, Revise


def block_groups(size: int | None, origin: Origin = "start") -> Groups | None:
    """Return blocks from left to right, or None, the whole canvas as one group."""
    return None if size is None else Groups.blocks(size, origin=origin)


def track_groups(tracks: int, *, side_by_side: bool = False) -> Groups | None:
    """Return tracks interleaved position by position, or None for a single one."""
    check_count("tracks", tracks)
    return None if tracks == 1 else Groups.levels(tracks, side_by_side=side_by_side)


def remasking(remask: bool) -> Revise:
    """Return whether committed tokens compete with the new ones."""
    check_flag("remask", remask)
    return Remask() if remask else Never()
