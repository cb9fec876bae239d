"""What presets share: a pace from a schedule's name, and draws left to right in blocks."""

from __future__ import annotations

from unmask import schedules
from unmask.grouping import Groups
from unmask.pace import Scheduled, Steps
from unmask.schedules import AnySchedule


def scheduled(schedule: AnySchedule, steps: Steps, lift: float = 0.0) -> Scheduled:
    """The pace of a schedule: a Schedule, a callable, or a name."""
    return Scheduled(schedules.resolve(schedule), steps, lift)


def blocks(size: int | None) -> Groups | None:
    """Blocks left to right, or the whole canvas as one."""
    return None if size is None else Groups.blocks(size)
