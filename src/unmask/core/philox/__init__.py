"""Philox4x32-10 (Salmon et al., SC 2011): a counter and a key -> four words of 32 bits.

Three ways that agree bit for bit: numpy on the host, Triton on CUDA, and torch wherever those two
are not, or cannot follow. Nothing here waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from unmask.core.inference import is_out_of_memory
from unmask.core.launch import Launcher
from unmask.core.philox import by_numpy, by_torch, by_triton
from unmask.core.philox.by_torch import WORD, Word

FEW = 2**16  # elements: of more, torch makes several at a time where it has the threads
THREADS = 4  # with fewer of them, torch is slower than numpy at any number
KERNEL = Launcher(
    "the kernel of uniforms", "they come from torch from here on, which are the same numbers"
)


def words(counter: Sequence[Word], key: Tensor) -> Tensor:
    """Four words for each broadcast element, (..., 4) int64 from 0 to 2**32 - 1.

    counter: four words, each an integer or an int64 tensor, of which the lower 32 bits count.
    key: int64, of which all 64 bits count.
    """
    return _made(counter, key, 4)


def reals(counter: Sequence[Word], key: Tensor, count: int = 2) -> Tensor:
    """The same bits as numbers in the open interval (0, 1), (..., count) float64.

    count: 1 or 2. Words 0 and 1 make the first number, 2 and 3 the second, of 48 bits each.
    """
    return _made(counter, key, count)


def _made(counter: Sequence[Word], key: Tensor, count: int) -> Tensor:
    counter = [word if isinstance(word, Tensor) else int(word) & WORD for word in counter]
    if _plain(counter, key):
        if key.is_cpu:
            words = (*counter, key)
            arrays = [word.numpy() if isinstance(word, Tensor) else word for word in words]
            shape = np.broadcast(*arrays).shape
            if prod(shape) <= FEW or torch.get_num_threads() < THREADS:
                return torch.from_numpy(by_numpy.made(arrays, shape, count))
        if KERNEL.may_run(key.device):
            try:
                return by_triton.made(counter, key, count)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                KERNEL.give_up(error)
    return by_torch.made(counter, key, count)


def _plain(counter: Sequence[Word], key: Tensor) -> bool:
    """Whether all tensors lie in one place and are what they seem, and none is being traced."""
    here = key.device
    alike = all(
        type(word) is int or (type(word) is Tensor and word.device == here) for word in counter
    )
    return alike and type(key) is Tensor and not torch.compiler.is_compiling()
