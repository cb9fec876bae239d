"""A device far away, played by the CPU: what runs there, and what goes to the host and back.

A tensor there holds its numbers on the CPU and says that it is elsewhere, so whoever asks which
device it is on takes the ways of an accelerator. What passes between the two is counted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HERE = torch.device("cpu")
FAR = torch.device("meta")  # one of which torch has no numbers, and no library of its own
# What returns a view without saying so, or makes room without filling it: no kernel runs.
METADATA = {"detach", "lift_fresh", "_unsafe_view", "_reshape_alias", "set_", "resize_"}
METADATA |= {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
# What halts the host: a number read, or a result as large as numbers say.
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "repeat_interleave"}
ASKING |= {"unique_dim", "unique_consecutive", "unique_dim_consecutive", "_unique", "_unique2"}
BY_FLAGS = {"index", "index_put", "index_put_", "_index_put_impl_"}
COPIES = {"_to_copy", "copy_"}
MADE_OF_NUMBERS = {torch.tensor, torch.as_tensor, torch.asarray}


class FarTensor(Tensor):
    """A tensor on the device far away; `near` holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> FarTensor:
        """Say what the tensor is like: as `near`, but elsewhere."""
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
        )
        made.near = near
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, *_: Any) -> Any:
        """Refuse: outside `counted` nothing runs there."""
        raise RuntimeError(f"{function} on a device far away: run it within `counted`")


@dataclass
class Count:
    """What was dispatched; of the device far away also where it was asked from."""

    operations: int = 0  # all of them, views included
    views: int = 0  # of these, those that only say anew what a tensor is like
    launches: int = 0  # kernels far away, one for each operation that is neither view nor transfer
    read: list[str] = field(default_factory=list)  # from there to the host
    sent: list[str] = field(default_factory=list)  # from the host to there
    paused: bool = False

    def clear(self) -> None:
        """Begin anew."""
        self.operations = self.views = self.launches = 0
        self.read.clear()
        self.sent.clear()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Count nothing of what is done within."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before


@contextmanager
def counted(package: Path | None = None) -> Iterator[Count]:
    """Count everything that is dispatched within, where the device far away can be used.

    package: whose functions are named as those that asked.
    """
    count = Count()
    with ExitStack() as stack:
        stack.enter_context(_Numbers())
        stack.enter_context(_Dispatch(count, package))
        yield count


class _Numbers(TorchFunctionMode):
    """What torch does with numbers before anything is dispatched."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function in MADE_OF_NUMBERS and _is_far(kwargs.get("device")):
            return function(*args, **kwargs | {"device": HERE}).to(FAR)
        if function is Tensor.tolist and isinstance(args[0], FarTensor):
            return args[0].cpu().tolist()
        return function(*args, **kwargs)


class _Dispatch(TorchDispatchMode):
    def __init__(self, count: Count, package: Path | None):
        super().__init__()
        self.count, self.package = count, package

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        far = any(isinstance(tensor, FarTensor) for tensor in given)
        stays = far if kwargs.get("device") is None else _is_far(kwargs["device"])
        if not self.count.paused:
            self._note(function, args, kwargs, given, stays)
        if not (far or stays):
            return function(*args, **kwargs)
        if torch.Tag.inplace_view in function.tags:
            raise NotImplementedError(f"{function} far away: the tensor would say what it was like")
        if kwargs.get("device") is not None:
            kwargs["device"] = HERE
        same = {id(_near(tensor)): tensor for tensor in given}  # what is written in place
        out = function(*tree_map(_near, args), **tree_map(_near, kwargs))
        return tree_map(lambda leaf: _there(leaf, same, stays), out)

    def _note(
        self, function: Any, args: Any, kwargs: Any, given: list[Tensor], stays: bool
    ) -> None:
        """Count one operation. given: its tensors; stays: whether its result is far away."""
        count, name = self.count, function.overloadpacket.__name__
        metadata = name in METADATA or _is_view(function)
        count.operations += 1
        count.views += metadata
        if not (stays or any(isinstance(tensor, FarTensor) for tensor in given)):
            return
        reads, sends = _transfers(name, args, kwargs, given, stays)
        moves = name == "_local_scalar_dense" or (name in COPIES and reads + sends > 0)
        count.launches += not (metadata or moves)
        if reads or sends:
            place = self._place()
            count.read += [place] * reads
            count.sent += [place] * sends

    def _place(self) -> str:
        """The functions of the package that ask, the innermost first."""
        frame, names = sys._getframe(1), list[str]()
        while frame is not None and len(names) < 2:
            path = frame.f_code.co_filename
            if self.package is not None and path.startswith(str(self.package)):
                names.append(f"{Path(path).stem}.{frame.f_code.co_name}")
            frame = frame.f_back  # type: ignore[assignment]
        return " < ".join(names)


def _transfers(
    name: str, args: Any, kwargs: Any, given: list[Tensor], stays: bool
) -> tuple[int, int]:
    """Number of times that an operation reads from far away, and that it sends there."""
    near = [tensor for tensor in given if not isinstance(tensor, FarTensor)]
    if name in COPIES:
        left = isinstance(given[-1], FarTensor)
        arrives = isinstance(given[0], FarTensor) if name == "copy_" else stays
        return int(left and not arrives), int(arrives and not left)
    if len(near) == len(given):
        return 0, 0
    flags = name in BY_FLAGS and any(i is not None and i.dtype == torch.bool for i in args[1])
    asks = flags or (name in ASKING and kwargs.get("output_size") is None)
    # A single number goes along with the kernel; anything larger must be there before it runs.
    return int(asks), sum(tensor.dim() > 0 for tensor in near)


def _is_view(function: Any) -> bool:
    returns = [r.alias_info for r in function._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returns)


def _is_far(device: Any) -> bool:
    return device is not None and torch.device(device) == FAR


def _near(leaf: Any) -> Any:
    return leaf.near if isinstance(leaf, FarTensor) else leaf


def _there(leaf: Any, same: dict[int, Tensor], stays: bool) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return same[id(leaf)] if id(leaf) in same else FarTensor(leaf) if stays else leaf
