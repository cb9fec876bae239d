"""Memory: what a stated amount is, what a step needs, and how many rows fit.

Shapes: B rows, N positions.
"""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from unmask.errors import MemoryBudgetError

_UNITS = {"B": 1} | {
    f"{letter}{'i' * binary}B": (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGT", 1)
    for binary in (0, 1)
}
_FOLDED = {unit.lower(): size for unit, size in _UNITS.items()}
_STATED = re.compile(r"\s*(?:(\d+)|(\d+(?:\.\d+)?)\s*([a-zA-Z]+))\s*")


def bytes_of(stated: int | str) -> int:
    """A number of bytes, as it is or written out, "2GB" (powers of 1000) or "512MiB" (of 1024).

    Raises MemoryBudgetError for anything else, and for less than one byte.
    """
    size = -1
    if isinstance(stated, int) and not isinstance(stated, bool):
        size = stated
    elif isinstance(stated, str) and (match := _STATED.fullmatch(stated)):
        plain, count, unit = match.groups()
        size = int(plain or float(count) * _FOLDED.get(unit.lower(), 0))
    if size < 1:
        raise MemoryBudgetError(
            f"max_memory={stated!r}: pass a number of bytes, such as 2_000_000_000, or a string "
            f"with a unit, such as '2GB' or '512MiB' (units: {', '.join(_UNITS)})"
        )
    return size


def spoken(size: int) -> str:
    """Bytes as `bytes_of` reads them, never fewer: `1.3MiB`."""
    power = max(0, min(4, (size.bit_length() - 1) // 10))
    unit = ("B", "KiB", "MiB", "GiB", "TiB")[power]
    tenths = math.ceil(size * 10 / 1024**power)
    return f"{tenths // 10}{unit}" if tenths % 10 == 0 else f"{tenths / 10:.1f}{unit}"


def fitting(budget: int, rows: int, needed: Callable[[int], int], least: int = 1) -> int:
    """How many of `rows` rows may run at once; needed(k): the bytes that k rows need.

    Measured at `least` rows and at one more, and drawn on as a straight line: what is needed
    whatever the rows, and what each row adds. Where `least` rows do not fit, a single one is tried.
    Raises MemoryBudgetError where that does not fit either.
    """
    few = needed(least)
    if few > budget:
        alone = few if least == 1 else needed(1)
        if alone > budget:
            raise MemoryBudgetError(
                f"a single row needs {spoken(alone)} for a step, more than max_memory="
                f"{spoken(budget)}: pass max_memory={spoken(alone)!r} or more, shorter rows, or a "
                "smaller network"
            )
        return 1
    if rows <= least:
        return rows
    each = max(1, needed(least + 1) - few)
    return min(rows, least + (budget - few) // each)


@contextmanager
def peak_of(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yield a function that says how many bytes more than at the start were held at most.

    On CUDA what the allocator counts, and its own peak is reset; elsewhere the storages of tensors,
    without what an operation holds inside itself.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
        return
    with LiveBytes(device) as live:
        yield lambda: live.peak


class LiveBytes(TorchDispatchMode):
    """Within, `now` is how many bytes are alive of the storages made within, `peak` the most."""

    def __init__(self, device: torch.device):
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.now, self.peak = device, 0, 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and note what came new."""
        kwargs = kwargs or {}
        for storage in _storages((args, kwargs), self.device):
            self._known[storage] = True
        out = function(*args, **kwargs)
        for storage in _storages(out, self.device):
            self._note(storage)
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:  # a view, or written in place
            return
        self._known[storage] = True
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.now -= size


def _storages(tree: Any, device: torch.device) -> Iterator[torch.UntypedStorage]:
    """Of the dense tensors of a tree that are on such a device."""
    for leaf in tree_leaves(tree):
        dense = isinstance(leaf, Tensor) and leaf.layout is torch.strided
        if dense and leaf.device.type == device.type:
            yield leaf.untyped_storage()
