"""Connections: one whose client takes nothing of an answer does not last."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection that is cut once its client takes nothing for `stall` seconds.

    Whatever the system does not take at once holds the answer up, so that little of it waits here.
    """

    def __init__(self, *given: Any, stall: float, **named: Any):
        super().__init__(*given, **named)
        self.stall = stall
        self._left = 0  # bytes
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as there
        """Take a connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        """Hold the answer up, and look whether it is taken."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on: all was taken."""
        super().resume_writing()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._rest()
        super().connection_lost(exc)

    def _rest(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _watch(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        self._look = self.loop.call_later(self.stall, self._check)

    def _check(self) -> None:
        if self.transport.get_write_buffer_size() < self._left:
            self._watch()
        else:
            self.transport.abort()
