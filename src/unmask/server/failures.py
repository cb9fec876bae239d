"""Failures: what ends a request, or passes beside the worker, without a result."""

from __future__ import annotations

import traceback

from unmask.errors import UnmaskError


class WorkerError(UnmaskError, RuntimeError):
    """A job ends without a result."""


class QueueFull(WorkerError):
    """Too many jobs wait."""


class Closing(WorkerError):
    """The worker takes no more jobs."""


class Expired(WorkerError):
    """A job has not finished by its deadline."""


class Cancelled(WorkerError):
    """Nobody waits for a job any more."""


LATE = "the request was not finished in time"
GONE = "the client has gone away"
ENDED = "the server shut down before the request was finished"


def let_go(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as tensors. Where it was raised is still told."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
