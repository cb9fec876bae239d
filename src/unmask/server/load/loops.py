"""When requests are sent: by so many clients one after the other, or at times of their own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from unmask.server.load.asks import Ask
from unmask.server.load.client import Answer

Sending = Callable[[Ask, float], Awaitable[Answer]]
"""Sends a request that is due at a time of `time.perf_counter`."""


@dataclass(frozen=True)
class Closed:
    """A closed loop: each of some clients sends its next request once the last is answered."""

    clients: int

    @property
    def label(self) -> str:
        """The name in a report."""
        return f"{self.clients} clients" if self.clients > 1 else "1 client"

    async def run(
        self, asks: Sequence[Ask], send: Sending, told: Callable[[], None]
    ) -> list[Answer]:
        """Return the answers, in the order of the requests."""
        waiting = list(enumerate(asks))[::-1]
        found: dict[int, Answer] = {}

        async def client() -> None:
            while waiting:
                number, ask = waiting.pop()
                found[number] = await send(ask, time.perf_counter())
                told()

        await asyncio.gather(*(client() for _ in range(self.clients)))
        return [found[number] for number in range(len(asks))]


@dataclass(frozen=True)
class Open:
    """An open loop: requests come by a Poisson process, whether others are answered or not.

    A request is due when it comes, so a server that falls behind cannot hide its delay.
    """

    rate: float  # requests a second
    seed: int = 0

    @property
    def label(self) -> str:
        """The name in a report."""
        return f"{self.rate:g} requests/s"

    def gaps(self, number: int) -> list[float]:
        """Return the seconds before each request."""
        draw = random.Random(self.seed)
        return [draw.expovariate(self.rate) for _ in range(number)]

    async def run(
        self, asks: Sequence[Ask], send: Sending, told: Callable[[], None]
    ) -> list[Answer]:
        """Return the answers, in the order of the requests."""
        due = time.perf_counter()

        async def one(ask: Ask, due: float) -> Answer:
            answer = await send(ask, due)
            told()
            return answer

        tasks = []
        for ask, gap in zip(asks, self.gaps(len(asks)), strict=True):
            due += gap
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(asyncio.create_task(one(ask, due)))
        return list(await asyncio.gather(*tasks))


Loop = Closed | Open


async def measured(
    loop: Loop,
    asks: Sequence[Ask],
    *,
    url: str,
    model: str | None = None,
    key: str | None = None,
    timeout: float = 600.0,
    told: Callable[[], None] = lambda: None,
) -> tuple[list[Answer], float]:
    """Return the answers of a server at `url`, and the seconds from the first to the last."""
    import httpx

    from unmask.server.load.client import answered

    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=timeout, limits=limits, trust_env=False
    ) as client:
        begun = time.perf_counter()
        answers = await loop.run(asks, lambda ask, due: answered(client, ask, model, due), told)
        return answers, time.perf_counter() - begun
