"""Philox4x32-10 (Salmon et al., SC 2011): a counter and a key -> four words of 32 bits.

Three ways that agree bit for bit: numpy on the host, Triton on CUDA, and torch wherever those two
are not, or cannot follow. Nothing here waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.inference import is_out_of_memory
from unmask.core.launch import Launcher
from unmask.core.philox import by_numpy, by_torch, by_triton
from unmask.core.philox.by_torch import WORD

FEW = 2**16  # elements: of more, torch makes several at a time where it has the threads
THREADS = 4  # with fewer of them, torch is slower than numpy at any number
KERNEL = Launcher(
    "the kernel of uniforms", "they come from torch from here on, which are the same numbers"
)


Word = Tensor | np.ndarray | int


def words(counter: Sequence[Word], key: Tensor) -> Tensor:
    """Four words for each broadcast element, (..., 4) int64 from 0 to 2**32 - 1.

    counter: four words, each an integer or an int64 tensor, of which the lower 32 bits count.
    key: int64, of which all 64 bits count. Arrays may stand for tensors on the host, in all places.
    """
    return _made(counter, key, 4)


def reals(counter: Sequence[Word], key: Tensor | np.ndarray, count: int = 2) -> Tensor:
    """The same bits as numbers in the open interval (0, 1), (..., count) float64.

    count: 1 or 2. Words 0 and 1 make the first number, 2 and 3 the second, of 48 bits each.
    """
    return _made(counter, key, count)


def _made(counter: Sequence[Word], key: Tensor | np.ndarray, count: int) -> Tensor:
    given: list[Any] = [
        w if isinstance(w, Tensor | np.ndarray) else int(w) & WORD for w in (*counter, key)
    ]
    if isinstance(given[-1], np.ndarray) or _plain(given, torch.device("cpu")):
        arrays = [word.numpy() if isinstance(word, Tensor) else word for word in given]
        shape = np.broadcast(*arrays).shape
        if prod(shape) <= FEW or torch.get_num_threads() < THREADS:
            return torch.from_numpy(by_numpy.made(arrays, shape, count))
    *words, root = (torch.from_numpy(w) if isinstance(w, np.ndarray) else w for w in given)
    if KERNEL.may_run(root.device) and _plain(given, root.device):
        try:
            return by_triton.made(words, root, count)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            KERNEL.give_up(error)
    return by_torch.made(words, root, count)


def _plain(given: Sequence[Word], device: torch.device) -> bool:
    """Whether all tensors lie there and are what they seem, and none is being traced."""
    alike = all(
        not isinstance(word, Tensor) or (type(word) is Tensor and word.device == device)
        for word in given
    )
    return alike and not torch.compiler.is_compiling()
