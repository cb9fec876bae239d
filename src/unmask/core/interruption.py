"""Ctrl-C and termination, from the first line of the program to its end.

Until the work begins a signal ends the process at once, during the work it raises `Interrupted`,
and after it the result stands. Little is loaded: a signal during an import here is a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WORDS = {
    getattr(signal, name): words
    for name, words in (
        ("SIGINT", "Interrupted."),
        ("SIGTERM", "Terminated."),
        ("SIGHUP", "The terminal was closed."),  # a signal that not every system has
    )
    if hasattr(signal, name)
}
ALARMS = [signal.SIGALRM] if hasattr(signal, "setitimer") else []
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
AGAIN = 0.2  # seconds


class Interrupted(KeyboardInterrupt):
    """A signal that ends a command; `code` is the exit code of a shell for it.

    A class of its own, since CPython ends a process by the signal if a plain KeyboardInterrupt
    once went through `exec`, as in an import, even where it was caught.
    """

    def __init__(self, number: int):
        super().__init__(WORDS[number])
        self.code = 128 + number


def end_at_once() -> None:
    """Let signals end this process, with one line; those that its parent ignores stay ignored."""
    for number in WORDS:
        if signal.getsignal(number) in DEFAULTS:
            signal.signal(number, _end)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted upon a signal in the block, and ignore signals after it.

    It is raised again if nothing handles it any more: libraries swallow exceptions, and what is
    raised in a finalizer is lost. For the program alone: without `end_at_once` nothing changes.
    """
    watched = [number for number in WORDS if signal.getsignal(number) is _end]
    if not watched:
        yield
        return
    first: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not first:
            first.append(number)
            sys.unraisablehook = lambda lost: None
            if ALARMS:
                signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
        if not _is_handled():
            raise Interrupted(first[0])

    for each in (*ALARMS, *watched):
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        ignore()


def ignore() -> None:
    """Let the outcome stand: a signal that comes now changes nothing."""
    for number in (*WORDS, *ALARMS):
        if signal.getsignal(number) not in DEFAULTS:
            signal.signal(number, signal.SIG_IGN)


def _is_handled() -> bool:
    """Return whether an interruption is being handled now, as by the end of a `with` block."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, WORDS[number].encode() + b"\n")
    os._exit(Interrupted(number).code)
