"""A mailbox: from the worker's thread to a request that waits in the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Items in the order in which they came. Made in the event loop that reads it.

    A slow reader holds nobody up: it takes all that has come at once.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._items: list[Item] = []
        self._there = asyncio.Event()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._items)

    def put(self, item: Item, join: Callable[[Item], Item | None] | None = None) -> None:
        """Put an item in, from any thread.

        join: makes this item and one that waits into one, None where they stay two; the last one
        that it fits is replaced.
        """
        with self._lock:
            if join is not None and self._join(join):
                return
            first = not self._items
            self._items.append(item)
        if first:
            with suppress(RuntimeError):  # the loop is closed, so nobody reads any more
                self._loop.call_soon_threadsafe(self._there.set)

    async def take(self) -> list[Item]:
        """Return what has come since, waiting for the first."""
        await self._there.wait()
        self._there.clear()
        with self._lock:
            found, self._items = self._items, []
        return found

    def _join(self, join: Callable[[Item], Item | None]) -> bool:
        for place in reversed(range(len(self._items))):
            joined = join(self._items[place])
            if joined is not None:
                self._items[place] = joined
                return True
        return False
