"""`torch.compile` for the trunk of a denoiser.

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from unmask.core.inference import is_out_of_memory
from unmask.core.network import Cache, Denoiser, Query
from unmask.errors import CompileWarning, ModelError, UnmaskError, nearest
from unmask.models.forwarding import Forwarding

Mode = Literal["default", "max-autotune-no-cudagraphs"]
SHOWN = 300  # characters of a compiler's message


class Compiled(Forwarding):
    """A denoiser with its trunk compiled by torch.compile; results differ by rounding only.

    inner: the denoiser, which `save` writes. mode: of torch.compile, for the backend "inductor";
    modes with CUDA graphs are refused: use `Captured(Compiled(denoiser))`.
    backend: of torch.compile, by name or as a function.

    The number of rows is compiled as a dynamic size, so that a shrinking batch is not compiled
    again; a single row is, once, and so is each new N. After eight compilations
    (`torch._dynamo.config.recompile_limit`) torch runs further shapes uncompiled. If compiling
    fails, for instance without a C++ compiler, one CompileWarning gives the reason, `failure` keeps
    it, and the trunk runs uncompiled.

    Raises ModelError for another mode, and unless inner is a denoiser.
    """

    def __init__(
        self,
        inner: Denoiser,
        mode: Mode = "default",
        backend: str | Callable[..., Any] = "inductor",
    ):
        super().__init__(inner)
        if mode not in get_args(Mode):
            raise ModelError(
                f"mode={mode!r}: {nearest(str(mode), get_args(Mode))}; for CUDA graphs use "
                "Captured(Compiled(denoiser))"
            )
        if mode != "default" and backend != "inductor":
            raise ModelError(
                f"mode={mode!r} is for the backend 'inductor', not {backend!r}: leave one "
                "of them out"
            )
        self.mode, self.backend = mode, backend
        self.failure: str | None = None
        self._call: Callable[..., Any] | None = None

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        if self.failure is not None:
            return self.inner.forward(query, cache)
        try:
            return self._compiled(query, cache)
        except UnmaskError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            failure = said(error)
        # An error of the network itself is raised again here, and not blamed on the compiler.
        out = self.inner.forward(query, cache)
        self.failure = failure
        warnings.warn(
            f"torch.compile failed ({self.failure}), so the trunk runs uncompiled from here on: "
            "leave Compiled out, or pass another backend, such as backend='aot_eager'",
            CompileWarning,
            stacklevel=2,
        )
        return out

    def _compiled(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        if self._call is None:
            self._call = torch.compile(_trunk, backend=self.backend, mode=self.mode)
        for leaf in tree_leaves([vars(query), {} if cache is None else vars(cache)]):
            if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) > 1:
                torch._dynamo.maybe_mark_dynamic(leaf, 0)
        out: tuple[Tensor, Cache | None] = self._call(self.inner, query, cache)
        return out

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without compiled code, which cannot be pickled."""
        return {**self.__dict__, "_call": None}


def said(error: Exception) -> str:
    """Return the first paragraph of an error's message in one line."""
    text = f"{type(error).__name__}: {str(error).split(chr(10) * 2, maxsplit=1)[0]}"
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def _trunk(denoiser: Denoiser, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
    return denoiser.forward(query, cache)
