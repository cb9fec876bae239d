"""What measures a worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from unmask.engine.engine import Event
from unmask.server.admission import Ticket


class Meter(Protocol):
    """What measures a worker."""

    def step(self, seconds: float, rows: int, positions: int, width: int, committed: int) -> None:
        """Take a step of the engine: rows, their positions, and those of the widest times rows."""

    def first(self, seconds: float) -> None:
        """Take the time from a job's submission to its first step that commits a token."""


def measure(
    meter: Meter, events: Iterable[Event], seconds: float, tickets: Iterable[Ticket], now: float
) -> None:
    """Tell a meter what a step did, and which jobs it gave their first token. now: of `Ticket`."""
    rows = positions = width = committed = 0
    new = set[int]()
    for event in events:
        here = event.info.state
        rows += len(here)
        positions += int(here.rows.length.sum())
        width += here.tokens.numel()
        counts = event.info.committed.sum(1).cpu().numpy()
        committed += int(counts.sum())
        new.update(event.ids[counts > 0].tolist())
    for ticket in tickets:
        if not ticket.answered and new & ticket.opened.keys():
            ticket.answered = True
            meter.first(now - ticket.arrived)
    meter.step(seconds, rows, positions, width, committed)
