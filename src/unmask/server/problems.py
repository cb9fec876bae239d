"""Problems: what goes wrong with a request, as a status and a body of OpenAI's form."""

from __future__ import annotations

from typing import Any

from unmask.core.inference import is_out_of_memory
from unmask.errors import InputError, LogitsError
from unmask.server.failures import Cancelled, Closing, Expired, QueueFull

RETRY_AFTER = 1  # seconds
LONGEST = 2000
"""Characters of a message: errors of the library may quote a whole text."""


class Problem(Exception):
    """An answer that is an error. param: the field of the request that it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        param: str | None = None,
        code: str | None = None,
    ):
        shown = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
        super().__init__(shown)
        self.status, self.message, self.kind = status, shown, kind
        self.param, self.code = param, code

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        named = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": named}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {"Retry-After": str(RETRY_AFTER)} if self.status in (429, 503) else {}


def problem_of(error: Exception) -> Problem:
    """Return the answer to an error of the library, of a worker, or to one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, QueueFull):
        return Problem(429, str(error), "rate_limit_error", code="queue_full")
    if isinstance(error, Closing):
        return Problem(503, str(error), "server_error", code="shutting_down")
    if isinstance(error, Expired):
        return Problem(408, str(error), "timeout_error", code="timeout")
    if isinstance(error, Cancelled):
        return Problem(499, str(error), "invalid_request_error", code="cancelled")
    if is_out_of_memory(error):
        return Problem(
            503,
            "memory ran out for one row of this request alone: ask for fewer tokens",
            "server_error",
            code="out_of_memory",
        )
    if isinstance(error, InputError) and not isinstance(error, LogitsError):
        return Problem(400, str(error))
    what = f"{type(error).__name__}: {error}"
    return Problem(500, what, "server_error", code="generation_failed")
