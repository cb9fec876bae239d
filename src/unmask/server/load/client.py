"""One request, and the times of its answer."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unmask.server.load.asks import Ask

if TYPE_CHECKING:
    import httpx

PATH = "/v1/completions"
UNANSWERED = "no answer"


@dataclass
class Answer:
    """What became of a request. Seconds are since the time at which it was due.

    first, last: when the first and the last text came. tokens: of the answer; None where the server
    tells none. status: of HTTP, that of an error within a stream, or why there is none.
    """

    status: int | str
    seconds: float
    first: float | None = None
    last: float | None = None
    tokens: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the request was answered as it should be."""
        return self.status == 200


async def answered(client: httpx.AsyncClient, ask: Ask, model: str | None, due: float) -> Answer:
    """Send a request and read its answer. due: in seconds of `time.perf_counter`."""
    import httpx

    found = Answer(UNANSWERED, 0.0)
    try:
        async with client.stream("POST", PATH, json=ask.body(model)) as response:
            found.status = response.status_code
            if found.is_whole:
                await _read(response.aiter_lines(), found, due)
    except httpx.HTTPError as error:
        found.status = type(error).__name__
    found.seconds = time.perf_counter() - due
    return found


async def _read(lines: AsyncIterator[str], found: Answer, due: float) -> None:
    ended = False
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            ended = True
            continue
        event: dict[str, Any] = json.loads(data)
        if "error" in event:
            found.status = str(event["error"].get("code") or event["error"].get("type"))
            return
        if any(choice.get("text") for choice in event.get("choices", ())):
            found.last = time.perf_counter() - due
            found.first = found.last if found.first is None else found.first
        usage = event.get("usage")
        if usage:
            found.tokens = usage["completion_tokens"]
    if not ended:
        found.status = "cut short"
