"""CUDA graphs of the trunk: its kernel launches, recorded once for a shape and replayed.

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

WARM_UP = 3  # passes before a capture, in which libraries initialise


class Captured(Forwarding):
    """A denoiser whose trunk runs as CUDA graphs: one launch in place of hundreds.

    inner: the denoiser. after: a shape (B,N) is captured at its call number after + 1. most: shapes
    that are kept; each keeps its activations. Other calls run without a graph: other shapes, calls
    with a cache, a condition or progress, rows of different lengths, training, gradients. Moving
    the weights (`to`, for instance) drops all graphs; changing them in place does not.

    Off CUDA, and if capturing fails (a trunk that waits for the device cannot be captured), one
    CompileWarning gives the reason, `failure` keeps it, and the trunk runs without graphs.
    Raises StrategyError for counts below 1, and ModelError unless inner is a denoiser.
    """

    def __init__(self, inner: Denoiser, after: int = 2, most: int = 4):
        super().__init__(inner)
        for name, value in (("after", after), ("most", most)):
            check_count(name, value)
        self.after, self.most = after, most
        self._recurring, self._graphs = Recurring(after, most), dict[Hashable, _Graph]()
        self._places: tuple[int, ...] = ()
        self.failure: str | None = None

    def forward(self, query: Query, cache: Cache | None) -> tuple[Tensor, Cache | None]:
        tokens = query.tokens
        if self.failure is None and not tokens.is_cuda:
            self._give_up(f"tokens are on {tokens.device}, and CUDA graphs need CUDA")
        if self.failure is None and cache is None and self._may_replay(query):
            graph = self._graph(tokens)
            if graph is not None:
                return graph(tokens)
        return self.inner.forward(query, cache)

    def _may_replay(self, query: Query) -> bool:
        """Return whether a graph may run this call: tokens alone, without padding or gradients."""
        if self.training or torch.is_grad_enabled() or self.spec.cached:
            return False
        alone = query.condition is None and query.clean is None
        return alone and not query.padded and not self.spec.inputs

    def _graph(self, tokens: Tensor) -> _Graph | None:
        """Return the graph of this shape, captured now if due; None to run without one."""
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
            f"no CUDA graph of the trunk ({failure}), so it runs without: leave Captured out, or "
            "pass a denoiser on CUDA whose trunk never waits for the device",
            CompileWarning,
            stacklevel=3,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without graphs, which belong to one process and its weights."""
        return {**self.__dict__, "_graphs": {}, "_places": ()}


class Recurring:
    """A counter that selects shapes to capture: those seen more than `after` times, at most `most`.

    Rows that leave a batch one by one make many shapes that rarely occur again.
    """

    def __init__(self, after: int, most: int):
        self.after, self.most = after, most
        self._seen: Counter[Hashable] = Counter()

    def due(self, key: Hashable, held: int) -> bool:
        """Count a call of this shape; return whether to capture it now. held: number of graphs."""
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
        # The next replay overwrites the buffers, and the engine keeps the tensor it gets.
        return self.out.clone(), None
