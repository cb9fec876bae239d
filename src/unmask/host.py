"""What the host knows of tensors on a device, so that it need not wait for the device to say it.

Asking a device for a number halts the host until the device has caught up. Facts that hold for each
row of a tensor are asked once and follow the rows. Shapes: B rows, n flags.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

# tensor -> (its version, {name: a (B,) array, or a tensor made of it})
_KNOWN = WeakTensorKeyDictionary()
Made = TypeVar("Made")
_AT_HAND = frozenset({"cpu"})


def waits(device: torch.device) -> bool:
    """Whether asking for a number halts the host until the device has caught up."""
    return device.type not in _AT_HAND


def on_host(tensor: Tensor) -> np.ndarray:
    """A copy of a tensor's numbers. Waits for the device."""
    return np.array(tensor.detach().cpu().numpy())


def per_row(tensor: Tensor, name: str, ask: Callable[[Tensor], Tensor]) -> np.ndarray:
    """What ask(tensor) says of each row, (B,) on the host; the device is asked once a tensor."""
    facts = _facts(tensor)
    if name not in facts:
        facts[name] = on_host(ask(tensor))
    said: np.ndarray = facts[name]
    return said


def row_lengths(valid: Tensor) -> np.ndarray:
    """(B,N) bool -> (B,) on the host: how many positions are not padding."""
    return per_row(valid, "length", lambda flags: flags.sum(1))


def unpadded(valid: Tensor) -> bool:
    """Whether no position of (B,N) is padding."""
    return _ASKED["unpadded"](valid)


def padded_last(valid: Tensor) -> bool:
    """Whether padding stands at the end of each row of (B,N)."""
    return bool(per_row(valid, "ends last", lambda v: (v[:, 1:] <= v[:, :-1]).all(1)).all())


def _unpadded(valid: Tensor) -> bool:
    return bool((row_lengths(valid) == valid.shape[1]).all())


_ASKED = {"unpadded": _unpadded}


def keep_compilers_out() -> None:
    """Have torch.compile leave alone what is asked here.

    To say so loads the compiler, and Triton with it, which takes longer than all of this library:
    it is said before something is compiled, and not when this module is imported.
    """
    if _ASKED["unpadded"] is _unpadded:
        _ASKED["unpadded"] = torch.compiler.disable(_unpadded)


def know(tensor: Tensor, name: str, value: np.ndarray) -> None:
    """Note what `per_row` would say."""
    _facts(tensor)[name] = value


def rows_known(rows: Tensor) -> np.ndarray | None:
    """The numbers in rows (b,), where the host knows them."""
    value = _facts(rows).get("value")
    return value if isinstance(value, np.ndarray) else None


def carry(part: Tensor, whole: Tensor, rows: np.ndarray | None) -> None:
    """Note of part = whole[rows] what is known of each row of whole; nothing for unknown rows."""
    for name, fact in list(_facts(whole).items()) if rows is not None else ():
        if isinstance(fact, np.ndarray):
            _facts(part)[name] = fact[rows]


def taken(whole: Tensor, rows: Tensor) -> Tensor:
    """whole[rows], known of as whole is."""
    part = whole.index_select(0, rows)
    carry(part, whole, rows_known(rows))
    return part


def derived(tensor: Tensor, name: Hashable, make: Callable[[Tensor], Made]) -> Made:
    """make(tensor), made once: a copy on another device, or rows twice over.

    The name must tell apart all that goes into it beside the tensor. What may need gradients is
    made anew each time, because its graph would hold the tensor.
    """
    facts = {} if tensor.requires_grad else _facts(tensor)
    if name not in facts:
        facts[name] = make(tensor)
    made: Made = facts[name]
    return made


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor there, copied once."""
    return (
        tensor if tensor.device == device else derived(tensor, str(device), lambda t: t.to(device))
    )


def places(flags: Tensor, count: int | None = None) -> Tensor:
    """flags (n,) bool -> (count,) int64: where they are True, in order.

    With the number of them, the host need not wait for it.
    """
    if count is None or not waits(flags.device):
        found = flags.nonzero().squeeze(1)
        assert count is None or len(found) == count, (len(found), count)
        return found
    nth = (flags.cumsum(0) - 1).where(flags, count)
    out = torch.empty(count + 1, dtype=torch.int64, device=flags.device)
    return out.scatter_(0, nth, torch.arange(len(flags), device=flags.device))[:count]


def rows_of(flags: np.ndarray, device_flags: Tensor) -> Tensor:
    """The rows at which device_flags (B,) are True, which the host knows to be flags (B,)."""
    rows = places(device_flags, int(flags.sum()))
    know(rows, "value", flags.nonzero()[0])
    return rows


def _facts(tensor: Tensor) -> dict[Hashable, Any]:
    if tensor.is_inference():  # without a version, so that a change would not be seen
        return {}
    version: int | None
    facts: dict[Hashable, Any]
    version, facts = _KNOWN.get(tensor, (None, {}))
    if version != tensor._version:
        facts = {}
        _KNOWN[tensor] = (tensor._version, facts)
    return facts
