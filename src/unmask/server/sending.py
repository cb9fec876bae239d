"""The way of a request: rows to the worker, and what is made of them to the client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from unmask.core.generation import Generation
from unmask.decoding import prepare
from unmask.engine import Engine
from unmask.server.answers import Reply
from unmask.server.house import House
from unmask.server.job import Step
from unmask.server.posting import Ended, Finished, PostingJob, Rows
from unmask.server.problems import Problem, problem_of
from unmask.server.served import Served
from unmask.server.streams import Event, Stream, stream_of
from unmask.server.wire.decoding import Decoding

Result = TypeVar("Result")
KEEP_ALIVE = 15  # seconds between comments of a stream


async def answered(
    request: Request, house: House, served: Served, reply: Reply, asked: Decoding
) -> Response:
    """Generate the rows of a reply; return its answer, or the stream of it.

    A client that goes away ends the generation of its rows at the next step. Raises a Problem for
    what goes wrong before an answer begins.
    """
    await house.compute(_check_begins, served, reply.rows)
    stream = stream_of(reply, asked) if asked.stream else None
    deadline = time.monotonic() + house.settings.timeout
    watched = asked.stream or reply.likeliest is not None
    job = PostingJob(reply.rows, watched=watched, deadline=deadline)
    try:
        served.worker.submit(job)
    except Exception as error:
        raise problem_of(error) from error
    if stream is not None:
        return EventSourceResponse(
            _events(house, served, job, stream),
            sep="\n",
            ping=KEEP_ALIVE,
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive"),
            shutdown_grace_period=house.settings.grace,
        )
    try:
        records = await while_connected(request, lambda: _records(job, reply))
    finally:
        served.worker.cancel(job)
    return JSONResponse(await house.compute(reply.answer, records))


def _check_begins(served: Served, rows: Rows) -> None:
    """Raise InputError for rows that cannot begin, as the worker would, but before it answers.

    The first row and the longest are begun, and no pass of the network is made.
    """
    engine, lengths = Engine(served.denoiser), rows.lengths
    longest = max(range(len(lengths)), key=lambda number: lengths[number])
    ids = rows.submit(engine, sorted({0, longest}))
    for state, strategy in engine.release(ids.tolist()):
        prepare(state, strategy)


async def while_connected(request: Request, wait: Callable[[], Any]) -> Any:
    """Return what `wait` does. Raises a Problem once the client has gone away."""
    found = list[Any]()
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        async def finish() -> None:
            try:
                found.append(await wait())
            except Problem as problem:
                found.append(problem)
            group.cancel_scope.cancel()

        group.start_soon(watch)
        group.start_soon(finish)
    if not found:
        raise Problem(499, "the client has gone away", code="cancelled")
    if isinstance(found[0], Problem):
        raise found[0]
    return found[0]


async def _records(job: PostingJob, reply: Reply) -> dict[int, Generation]:
    """Return the record of each row, once all are finished. Raises a Problem where they are not."""
    records = dict[int, Generation]()
    while True:
        for item in await job.mail.take():
            if isinstance(item, Step):
                if reply.likeliest is not None:
                    reply.likeliest.take(item)
            elif isinstance(item, Finished):
                records[item.number] = item.record
            elif isinstance(item, Ended):
                if item.error is not None:
                    raise problem_of(item.error) from item.error
                return records


async def _events(
    house: House, served: Served, job: PostingJob, stream: Stream
) -> AsyncIterator[Event]:
    """Yield the events of a stream; its job ends with it."""
    try:
        for made in await house.compute(stream.begin):
            yield made
        while not stream.over:
            mail = await job.mail.take()
            for made in await house.compute(stream.take, mail):
                yield made
    finally:
        served.worker.cancel(job)
