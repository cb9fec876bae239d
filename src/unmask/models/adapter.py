"""What every adapter has: ids with a meaning, a device, and a network underneath."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import CanvasError, ModelError


class Ids:
    """Which ids mean what, how long a sequence is unless told, and where logits stand."""

    def __init__(
        self,
        mask_id: int | None,
        vocab_size: int | None = None,
        forbidden: Sequence[int] = (),
        length: int | None = None,
        logit_shift: bool = False,
    ):
        self.mask_id, self.vocab_size = mask_id, vocab_size
        self.forbidden, self.length = tuple(forbidden), length
        self.logit_shift = logit_shift
        if vocab_size is not None:
            self.check(vocab_size)

    def check(self, vocab_size: int) -> None:
        """Raise ModelError unless the mask id and the forbidden ids are inside the vocabulary."""
        if self.mask_id is not None and not 0 <= self.mask_id < vocab_size:
            raise ModelError(
                f"mask_id={self.mask_id} is outside the vocabulary of {vocab_size}: it must be one "
                f"of the ids the network knows, 0 to {vocab_size - 1}"
            )
        outside = [i for i in self.forbidden if not 0 <= i < vocab_size]
        if outside:
            raise ModelError(f"forbidden ids {outside} are outside the vocabulary of {vocab_size}")

    def shifted(self, hidden: Tensor) -> Tensor:
        """(B,N,D) -> (B,N,D): with a logit shift, each position reads the state before it.

        Networks that began as left-to-right models predict the next position (Dream 2508.15487,
        DiffuLLaMA 2410.17891); the first position reads its own state.
        """
        if not self.logit_shift:
            return hidden
        return torch.cat([hidden[:, :1], hidden[:, :-1]], 1)


def keywords(condition: Any) -> dict[str, Any]:
    """A condition as keyword arguments of the network. Raises CanvasError unless None or a dict."""
    if condition is None:
        return {}
    if not isinstance(condition, dict):
        raise CanvasError(
            f"this network's condition must be a dict of its keyword arguments; got a "
            f"{type(condition).__name__}"
        )
    return dict(condition)


_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted() -> Iterator[None]:
    """Within, adapters take it that ids are in the vocabulary and that nothing is padding.

    The caller has seen to it. To look again would wait for the device, which a CUDA graph cannot.
    """
    before = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(before)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def is_trusted() -> bool:
    """Whether this runs within `trusted`. Never compiled in, because it changes between calls."""
    return _TRUSTED.get()


def is_level(valid: Tensor) -> bool:
    """Whether nothing is padding, for valid (B,N) bool."""
    return is_trusted() or bool(valid.all())


def device_of(module: nn.Module) -> torch.device | None:
    """Where a module's parameters or buffers live; None when it has none."""
    for tensors in (module.parameters(), module.buffers()):
        for tensor in tensors:
            return tensor.device
    return None
