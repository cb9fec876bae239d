"""What a denoiser around another denoiser has in common with it.

Shapes: M rows of the head, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from unmask.errors import ModelError
from unmask.types import Denoiser


class Forwarding(nn.Module):
    """All of `inner` but its trunk, which those who derive from this run in their own way.

    Whatever else is asked by name (`forbidden`, `length`, `device`, `forwards_per_step`,
    `sees_progress`, ...) is the inner denoiser's, and missing where it is missing there. Raises
    ModelError unless `inner` is a denoiser.
    """

    def __init__(self, inner: Denoiser):
        super().__init__()
        if not isinstance(inner, Denoiser):
            raise ModelError(
                f"{type(inner).__name__} is no denoiser: wrap it first, as in "
                "unmask.wrap(net, mask_id=17)"
            )
        self.inner = inner

    @property
    def vocab_size(self) -> int | None:
        """V of the inner denoiser."""
        return self.inner.vocab_size

    @property
    def mask_id(self) -> int | None:
        """The id shown at unknown positions."""
        return self.inner.mask_id

    def logits(self, hidden: Tensor) -> Tensor:
        """(M,D) -> (M,V), by the inner denoiser."""
        return self.inner.logits(hidden)

    def __getattr__(self, name: str) -> Any:
        """Called where this object itself has no such attribute."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "inner" or name.startswith("_"):
                raise
            return getattr(self.inner, name)


def unwrapped(denoiser: Denoiser) -> Denoiser:
    """The denoiser that says and holds everything: that within all such wrappers."""
    while isinstance(denoiser, Forwarding):
        denoiser = denoiser.inner
    return denoiser
