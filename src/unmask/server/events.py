"""Server-sent events of a job, to a client that may leave or stop reading."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

from unmask.server.asgi import Receive, Scope, Send
from unmask.server.failures import LATE, Expired
from unmask.server.house import House
from unmask.server.job import Step
from unmask.server.posting import Ended, Finished, PostingJob
from unmask.server.problems import problem_of
from unmask.server.streams import Event, Stream
from unmask.server.tracing import Trace
from unmask.server.worker import Worker

KEEP_ALIVE = 15  # seconds between comments of a stream
Mail = list[Step | Finished | Ended]


class EventStream(EventSourceResponse):
    """The events of a stream. Its job ends with it, whether it was begun or not.

    It is cut where it could not be sent within the time of its request and `Settings.stall`.
    """

    def __init__(self, house: House, worker: Worker, job: PostingJob, stream: Stream, trace: Trace):
        super().__init__(
            self._events(),
            sep="\n",
            ping=KEEP_ALIVE,
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive"),
            shutdown_grace_period=house.settings.grace,
        )
        self.house, self.worker, self.job = house, worker, job
        self.stream, self.trace = stream, trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        room = self.job.deadline - time.monotonic() + self.house.settings.stall
        try:
            with anyio.move_on_after(room) as within:
                await super().__call__(scope, receive, send)
        finally:
            self.worker.cancel(self.job)
        if within.cancelled_caught:
            late = Expired(LATE)
            self.trace.note(problem_of(late).status, late)

    async def _events(self) -> AsyncIterator[bytes]:
        """Yield the events, each as it is sent."""
        mail: Mail | None = None
        while True:
            for each in await self.house.tell(self._made, mail):
                yield each
            if self.stream.over:
                return
            mail = await mail_of(self.job)

    def _made(self, mail: Mail | None) -> list[bytes]:
        """Return the events of what came, None for nothing yet. Called on a thread."""
        stream = self.stream
        made = stream.begin() if mail is None else stream.take(mail)
        if stream.error is not None:
            self.trace.note(problem_of(stream.error).status, stream.error)
        if stream.over:
            with suppress(
                Exception
            ):  # rows that cannot be read are told as the error that they are
                self.trace.use(stream.reply.usage(stream.records).entries())
        return encoded(made)


async def mail_of(job: PostingJob) -> Mail:
    """Return what has come for a job; that its time is over, once it is."""
    with anyio.move_on_after(job.deadline - time.monotonic()):
        return await job.mail.take()
    return [Ended(Expired(LATE))]


def encoded(events: list[Event]) -> list[bytes]:
    """Return events as they are sent; their data have no line breaks."""
    return [
        "".join(f"{name}: {each[name]}\n" for name in ("event", "data") if name in each).encode()
        + b"\n"
        for each in events
    ]
