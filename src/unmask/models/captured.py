"""CUDA graphs of the trunk: what a step launches, recorded once for a shape and played again.

Shapes: B rows, N positions, D width.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import check_count
from unmask.core.inference import is_out_of_memory
from unmask.core.network import Cache, Denoiser, Query
from unmask.errors import CompileWarning, UnmaskError
from unmask.models.compiled import said
from unmask.models.forwarding import Forwarding

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

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        """(R,N) -> (R,N,D), and what is kept for the next step."""
        tokens = query.tokens
        if self.failure is None and not tokens.is_cuda:
            self._give_up(f"tokens are on {tokens.device}, and CUDA graphs are for CUDA")
        if self.failure is None and cache is None and self._may_replay(query):
            graph = self._graph(tokens)
            if graph is not None:
                return graph(tokens)
        out: tuple[Tensor, Cache | None] = self.inner.forward(query, cache)
        return out

    def _may_replay(self, query: Query) -> bool:
        """Whether this call is one like those that are captured: tokens alone, without padding."""
        if self.training or torch.is_grad_enabled() or self.spec.cached:
            return False
        return query.condition is None and not query.padded and not self.spec.inputs

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
        self.tokens = tokens.clone()
        query = Query.of(self.tokens)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(tokens.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    inner.forward(query, None)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self.graph):
                self.out, _ = inner.forward(query, None)

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Cache | None]:
        self.tokens.copy_(tokens)
        self.graph.replay()
        # The next replay writes over the buffers, and the engine keeps what it was given.
        return self.out.clone(), None
