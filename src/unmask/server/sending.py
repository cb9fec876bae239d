"""The way of a request: rows to the worker, and what is made of them to the client."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.responses import Response

from unmask.core.generation import Generation
from unmask.decoding import prepare
from unmask.engine import Begun
from unmask.server.answers import Reply
from unmask.server.events import EventStream
from unmask.server.failures import GONE, LATE, Cancelled, Expired, WorkerError
from unmask.server.house import House
from unmask.server.job import Step
from unmask.server.posting import Ended, Finished, PostingJob
from unmask.server.problems import Problem, problem_of
from unmask.server.rendering import rendered
from unmask.server.served import Served
from unmask.server.streams import stream_of
from unmask.server.tracing import trace_of
from unmask.server.turns import Permit
from unmask.server.wire.decoding import Decoding

Result = TypeVar("Result")


async def answered(
    request: Request, house: House, served: Served, reply: Reply, asked: Decoding
) -> Response:
    """Generate the rows of a reply; return its answer, or the stream of it.

    A client that goes away ends the generation of its rows at the next step. Raises a Problem for
    what goes wrong before an answer begins.
    """
    trace = trace_of(request)
    trace.model = served.name
    watched = asked.stream or reply.likeliest is not None
    begun, usage = await house.compute(_begun, reply)
    trace.use(usage)
    job = PostingJob(reply.rows, begun, watched=watched, deadline=_deadline(request, house))
    stream = stream_of(reply, asked) if asked.stream else None
    try:
        served.worker.submit(job)
    except Exception as error:
        raise problem_of(error) from error
    if stream is not None:
        return EventStream(house, served.worker, job, stream, trace)
    try:
        records = await while_connected(request, house, lambda: _records(job, reply))
    finally:
        served.worker.cancel(job)
    found, response = await house.tell(_answer, reply, records)
    trace.use(found["usage"])
    return response


async def passed(
    request: Request, house: House, served: Served, function: Callable[..., Result], *given: Any
) -> Result:
    """Return what a function does that takes passes beside the worker of a model.

    Where the client goes away, or the time of the request is over, it ends before its next pass.
    """
    trace_of(request).model = served.name
    permit = Permit()
    return await while_connected(
        request, house, lambda: house.passes(permit, function, *given), permit.withdraw
    )


def _deadline(request: Request, house: House) -> float:
    """Return when a request's time is over, in seconds of `time.monotonic`."""
    return trace_of(request).arrived + house.settings.timeout


def _begun(reply: Reply) -> tuple[list[Begun], Mapping[str, Any]]:
    """Return rows that have begun, and the usage of all. Raises InputError for what cannot begin.

    It is the first row and the longest, so that nothing waits that cannot be generated; the worker
    takes them on as they are. No pass of the network is made.
    """
    lengths = reply.rows.lengths
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    begun = [part for number in {0, longest} for part in reply.rows.begin([number])]
    for part in begun:
        prepare(part.state, part.strategy)
    return begun, reply.usage({}).entries()


def _answer(reply: Reply, records: Mapping[int, Generation]) -> tuple[dict[str, Any], Response]:
    found = reply.answer(records)
    return found, Response(rendered(found), media_type="application/json")


async def while_connected(
    request: Request,
    house: House,
    wait: Callable[[], Awaitable[Result]],
    leave: Callable[[WorkerError], None] = lambda _: None,
) -> Result:
    """Return what `wait` does. Raises a Problem for what it raises, or as soon as it is in vain.

    It is in vain once the client has gone away or the time of the request is over; then `leave` is
    told so, and `wait` is cancelled.
    """
    found, failed = list[Result](), list[Exception]()
    async with anyio.create_task_group() as group:

        def end(error: WorkerError) -> None:
            if not (found or failed):
                failed.append(error)
                leave(error)
            group.cancel_scope.cancel()

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            end(Cancelled(GONE))

        async def expire() -> None:
            await anyio.sleep(max(0.0, _deadline(request, house) - time.monotonic()))
            end(Expired(LATE))

        async def finish() -> None:
            try:
                found.append(await wait())
            except Exception as error:
                if not failed:
                    failed.append(error)
            group.cancel_scope.cancel()

        for each in (watch, expire, finish):
            group.start_soon(each)
    if failed and isinstance(failed[0], Problem):
        raise failed[0]
    if failed:
        raise problem_of(failed[0]) from failed[0]
    return found[0]


async def _records(job: PostingJob, reply: Reply) -> dict[int, Generation]:
    """Return the record of each row, once all are finished. Raises what ended the job before."""
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
                    raise item.error
                return records
