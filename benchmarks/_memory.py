"""The largest tensor that an operation of a generation makes outside the trunk, and which one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from _networks import Watched
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import unmask

MIB = 2**20


class Largest(TorchDispatchMode):
    """Within, notes the largest storage that an operation returns and was not given.

    Views and results written in place have the storage of an input and do not count. What a kernel
    or numpy holds for itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.operation, self.paused = 0, "", False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if self.paused:
            return out
        given = {storage._cdata for storage in storages((args, kwargs))}
        for made in storages(out):
            if made._cdata not in given and made.nbytes() > self.bytes:
                self.bytes, self.operation = made.nbytes(), str(function)
        return out

    @contextmanager
    def pause(self) -> Iterator[None]:
        """What is made within does not count."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False


def storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    """Of the tensors of a tree."""
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor) and leaf.layout is torch.strided:
            yield leaf.untyped_storage()


def outside_the_trunk(
    denoiser: unmask.Denoiser, generate: Callable[[unmask.Denoiser], object]
) -> Largest:
    """Of head, draw and bookkeeping of one generation."""
    seen = Largest()

    def within(part: str) -> AbstractContextManager[None]:
        return seen.pause() if part == "trunk" else nullcontext()

    with seen:
        generate(Watched(denoiser, within))
    return seen
