"""CUDA graphs of the trunk: what a step launches, recorded once for a shape and played again.

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from unmask.checks import check_count
from unmask.errors import CompileWarning, UnmaskError
from unmask.host import know, unpadded
from unmask.inference import is_out_of_memory
from unmask.models.compiled import said
from unmask.models.forwarding import Forwarding
from unmask.types import Denoiser, Memory

WARM_UP = 3  # passes before a capture, in which libraries set themselves up


class Captured(Forwarding):
    """The same denoiser with its trunk as CUDA graphs: one launch where there were hundreds.

    after: a shape (B,N) is captured when it comes up for the time after this many. most: shapes
    that are held; each keeps its activations. Everything else runs as it is: other shapes, calls
    with a memory, a condition or progress, rows of different lengths, training, gradients. New
    weights in new places (`to`, say) drop what was captured; a change in place is seen.

    Off CUDA, and where capturing fails (a trunk that waits for the device cannot be captured), one
    CompileWarning says what failed (as `failure` does from then on), and the trunk runs as it is.
    Raises StrategyError for counts below 1, and ModelError for what is no denoiser.
    """

    def __init__(self, inner: Denoiser, after: int = 2, most: int = 4):
        super().__init__(inner)
        for name, value in (("after", after), ("most", most)):
            check_count(name, value)
        self._recurring, self._graphs = Recurring(after, most), dict[Hashable, _Graph]()
        self._places: tuple[int, ...] = ()
        self.failure: str | None = None

    def hidden(
        self, tokens: Tensor, *, valid: Tensor, memory: Memory, **extra: Any
    ) -> tuple[Tensor, Memory]:
        """(B,N) -> (B,N,D) and the memory for the next step. extra: what the inner one takes."""
        if self.failure is None and not tokens.is_cuda:
            self._give_up(f"tokens are on {tokens.device}, and CUDA graphs are for CUDA")
        alone = memory is None and not extra
        if self.failure is None and alone and self._may_replay(valid):
            graph = self._graph(tokens)
            if graph is not None:
                return graph(tokens)
        return self.inner.hidden(tokens, valid=valid, memory=memory, **extra)

    def _may_replay(self, valid: Tensor) -> bool:
        """Whether this call is one like those that are captured."""
        if self.training or torch.is_grad_enabled() or self.vocab_size is None:
            return False
        return bool(unpadded(valid))

    def _graph(self, tokens: Tensor) -> _Graph | None:
        """That of the shape, captured now where it is due."""
        places = tuple(part.data_ptr() for part in (*self.parameters(), *self.buffers()))
        if places != self._places:
            self._graphs.clear()
            self._places = places
        key = (tokens.shape, tokens.device)
        if key not in self._graphs and self._recurring.due(key, len(self._graphs)):
            try:
                self._graphs[key] = _Graph(self.inner, tokens)
            except UnmaskError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                self._give_up(said(error))
        return self._graphs.get(key)

    def _give_up(self, failure: str) -> None:
        self.failure = failure
        self._graphs.clear()
        warnings.warn(
            f"no CUDA graph of the trunk ({failure}), so it runs as it is: leave Captured out, or "
            "pass a denoiser on CUDA whose trunk never waits for the device",
            CompileWarning,
            stacklevel=3,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Copies capture for themselves: a graph belongs to one process and its weights."""
        return {**self.__dict__, "_graphs": {}, "_places": ()}


class Recurring:
    """Which shapes are worth a graph: those seen more than `after` times, at most `most` of them.

    Rows that leave a batch one by one make many shapes that hardly come up again.
    """

    def __init__(self, after: int, most: int):
        self.after, self.most = after, most
        self._seen: Counter[Hashable] = Counter()

    def due(self, key: Hashable, held: int) -> bool:
        """Count a call of this shape; whether it is to be captured now. held: graphs there are."""
        self._seen[key] += 1
        return self._seen[key] > self.after and held < self.most


class _Graph:
    """One captured pass over buffers of its own, for a batch without padding."""

    def __init__(self, inner: Denoiser, tokens: Tensor):
        self.tokens, self.valid = tokens.clone(), torch.ones_like(tokens, dtype=torch.bool)
        know(self.valid, "length", np.full(len(tokens), tokens.shape[1]))
        given: dict[str, Any] = {"valid": self.valid, "memory": None}
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(tokens.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    inner.hidden(self.tokens, **given)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self.graph):
                self.out = inner.hidden(self.tokens, **given)

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Memory]:
        self.tokens.copy_(tokens)
        self.graph.replay()
        # The next replay writes over the buffers, and the engine keeps what it was given.
        hidden, memory = tree_map(_copied, self.out)
        return hidden, memory


def _copied(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
