"""A mailbox: from the worker's thread to a request that waits in the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Items in the order in which they came. Made in the event loop that reads it.

    A slow reader holds nobody up: it takes all that has come at once.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._there = asyncio.Event()

    def put(self, item: Item) -> None:
        """Put an item in, from any thread."""
        self._items.append(item)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._there.set)

    async def take(self) -> list[Item]:
        """Return what has come since, waiting for the first."""
        await self._there.wait()
        self._there.clear()
        found = list[Item]()
        while self._items:
            found.append(self._items.popleft())
        return found
