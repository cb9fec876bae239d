"""Logs: one JSON object a line. No prompt, no answer and no message of an error is in them.

Messages of errors may quote a prompt, so they are told at the level debug only.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import traceback
from datetime import datetime, timezone
from typing import Any, TextIO

WAITING = 10_000
"""Lines that may wait for a slow stream; more are dropped."""
LOGGERS = ("unmask.server", "uvicorn", "sse_starlette", "asyncio")


class Log:
    """Lines for a stream, written on a thread. A stream that is slow, full or broken stops nobody.

    dropped: the number of lines that could not be written.
    """

    def __init__(self, stream: TextIO, level: str = "info"):
        self.stream, self.dropped = stream, 0
        self.level = logging.getLevelName(level.upper())
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="unmask-log", daemon=True)
        self._thread.start()

    def put(self, level: int, event: str, **facts: Any) -> None:
        """Write a line, if its level is high enough. Facts that are None are left out."""
        if level < self.level:
            return
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        head = {"time": now, "level": logging.getLevelName(level).lower(), "event": event}
        known = {name: value for name, value in facts.items() if value is not None}
        try:
            self._lines.put_nowait(json.dumps(head | known, default=str))
        except queue.Full:
            self.dropped += 1

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for at most so long."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self.stream.write(line + "\n")
                self.stream.flush()
            except Exception:  # full, broken, closed, or no stream at all
                self.dropped += 1


class Handler(logging.Handler):
    """What the loggers of the server and of the libraries under it say, as lines of a log."""

    def __init__(self, log: Log):
        super().__init__(log.level)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        facts: dict[str, Any] = {"logger": record.name}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts |= error_facts(error, whole=self.log.level <= logging.DEBUG)
        # The text of the call; values put into it may be of a request.
        words = record.getMessage() if self.log.level <= logging.DEBUG else str(record.msg)
        self.log.put(record.levelno, words.partition("\n")[0], **facts)


def error_facts(error: BaseException, *, whole: bool) -> dict[str, Any]:
    """Return the class of an error, that of its first cause, and where that was raised.

    whole: its message as well.
    """
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    frames = traceback.extract_tb(first.__traceback__)
    where = [f"{each.filename}:{each.lineno} {each.name}" for each in frames[-8:]]
    facts: dict[str, Any] = {"error": type(error).__name__}
    if first is not error:
        facts["cause"] = type(first).__name__
    facts["where"] = where
    return {**facts, "message": str(error)} if whole else facts


class Listening:
    """A block in which loggers write into a log alone."""

    def __init__(self, log: Log):
        self.handler = Handler(log)
        self.before: list[tuple[logging.Logger, int, bool]] = []

    def __enter__(self) -> None:
        for name in LOGGERS:
            logger = logging.getLogger(name)
            self.before.append((logger, logger.level, logger.propagate))
            # uvicorn tells its own comings and goings at the level info.
            logger.setLevel(max(self.handler.level, logging.WARNING))
            logger.propagate = False
            logger.addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        for logger, level, propagate in self.before:
            logger.removeHandler(self.handler)
            logger.setLevel(level)
            logger.propagate = propagate
