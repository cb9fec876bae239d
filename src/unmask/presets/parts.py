"""What presets share: blocks left to right."""

from __future__ import annotations

from unmask.groups import Groups, Origin


def blocks(size: int | None, origin: Origin = "start") -> Groups | None:
    """Blocks left to right, or the whole canvas as one."""
    return None if size is None else Groups.blocks(size, origin=origin)
