"""Numbers on their way between the host (numpy) and the device (torch).

Asking a device for a number halts the host until the device has caught up; what the host knows is
sent in one copy. Shapes: B rows, n flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

Table = Tensor | np.ndarray | Sequence[Sequence[int]]
"""One number for each position of each row, (B,N)."""

_AT_HAND = frozenset({"cpu"})


def waits(device: torch.device) -> bool:
    """Whether asking for a number halts the host until the device has caught up."""
    return device.type not in _AT_HAND


def on_host(tensor: Tensor) -> np.ndarray:
    """A copy of a tensor's numbers. Waits for the device."""
    return np.array(tensor.cpu().numpy())


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor there. Does not wait for the device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)


@lru_cache(maxsize=64)
def arange(count: int, device: torch.device) -> Tensor:
    """(count,) int64: 0, 1, 2, ... there, made once. Not to be written to, nor traced."""
    with torch.inference_mode(False):
        return torch.arange(count, device=device)


def tensor_of(given: Any) -> Any:
    """Return an array, or a list (of lists) of numbers or bools, as a tensor; others as they are.

    So are lists of rows of unequal length. Nothing is shared with an array.
    """
    if not isinstance(given, list | tuple | np.ndarray):
        return given
    try:
        array = np.array(given)
        plain = array.astype(array.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(plain) if array.dtype.kind in "biuf" else given
    except (TypeError, ValueError, RuntimeError):  # rows of unequal length, tensors elsewhere
        return given


class Sent(dict[str, Tensor]):
    """Arrays by name as tensors on a device, each when it is first asked for."""

    def __init__(self, arrays: Mapping[str, np.ndarray], device: torch.device):
        super().__init__()
        self._arrays, self._device = arrays, device

    def __missing__(self, name: str) -> Tensor:
        self[name] = to_device(self._arrays[name], self._device)
        return self[name]


def send(arrays: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Arrays (B,...) of int64, bool or float64 as tensors of these dtypes, in one copy."""
    if not waits(device):
        return Sent(arrays, device)  # nothing is copied, so nothing need be sent together
    each = [a.view(np.int64) if a.dtype == np.float64 else a for a in arrays.values()]
    flat = np.concatenate([array.ravel() for array in each], dtype=np.int64)
    parts = to_device(flat, device).split([array.size for array in each])
    return {
        name: _from_words(part.view(array.shape), array.dtype)
        for (name, array), part in zip(arrays.items(), parts, strict=True)
    }


def _from_words(words: Tensor, dtype: np.dtype) -> Tensor:
    if dtype == np.float64:
        return words.view(torch.float64)
    return words.bool() if dtype == np.bool_ else words


def first_true(flags: Tensor) -> list[int] | None:
    """Return the indices of the first True, None where there is none."""
    places = flags.nonzero()
    return places[0].tolist() if len(places) else None


def true_positions(flags: Tensor, count: int | None = None) -> Tensor:
    """flags (n,) bool -> (count,) int64: where they are True, in order.

    With the number of them, the host need not wait for the device.
    """
    if count is None or not waits(flags.device):
        found = flags.nonzero().squeeze(1)
        assert count is None or len(found) == count, (len(found), count)
        return found
    nth = (flags.cumsum(0) - 1).where(flags, count)
    out = torch.empty(count + 1, dtype=torch.int64, device=flags.device)
    return out.scatter_(0, nth, torch.arange(len(flags), device=flags.device))[:count]
