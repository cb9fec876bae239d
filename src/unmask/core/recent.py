"""Results of a function for the arguments it was called with last, up to a size of all of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import update_wrapper
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class _Key:
    """Arguments, hashed once: some are tables."""

    def __init__(self, given: tuple[Hashable, ...]):
        self.given, self.hash = given, hash(given)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.given == other.given


class Recent(Generic[Result]):
    """A function that keeps its recent results: as `lru_cache`, but bounded by their bytes.

    most: bytes that are kept; a larger result is returned, and not kept. size: bytes of a result.
    Threads may call it at once; then each makes its own result.
    """

    def __init__(
        self, make: Callable[..., Result], most: int, size: Callable[[Result], int]
    ) -> None:
        self.make, self.most, self.size = make, most, size
        self.held = 0
        self._kept: OrderedDict[_Key, Result] = OrderedDict()
        self._lock = threading.Lock()
        update_wrapper(self, make)

    def __call__(self, *given: Any) -> Result:
        """Return the result of these arguments, by position alone."""
        key = _Key(given)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self.make(*given)
        size = self.size(found)
        with self._lock:
            if size <= self.most and key not in self._kept:
                self._kept[key] = found
                self.held += size
            while self.held > self.most:
                _, old = self._kept.popitem(last=False)
                self.held -= self.size(old)
        return found


def recent(
    most: int, size: Callable[[Any], int]
) -> Callable[[Callable[..., Result]], Recent[Result]]:
    """Return a decorator that makes a function a `Recent`."""
    return lambda make: Recent(make, most, size)
