"""A helper of presets: blocks from left to right."""

from __future__ import annotations

from unmask.groups import Groups, Origin


def block_groups(size: int | None, origin: Origin = "start") -> Groups | None:
    """Return blocks from left to right, or None, the whole canvas as one group."""
    return None if size is None else Groups.blocks(size, origin=origin)
