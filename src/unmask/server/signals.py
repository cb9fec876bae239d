"""Signals that end a server, in place of the error that they are in other commands."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def caught(tell: Callable[[int], None]) -> Iterator[None]:
    """Call `tell` with the number of each signal in the block, but those that the parent ignores.

    For the main thread. It is called between any two instructions: `SimpleQueue.put` may be.
    """
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in numbers}
    watched = [each for each in numbers if before[each] is not signal.SIG_IGN]
    for each in watched:
        signal.signal(each, lambda number, _: tell(number))
    try:
        yield
    finally:
        for each in watched:
            signal.signal(each, before[each])
