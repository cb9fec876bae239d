"""`run` and `stream` are loops over `step`; that of `run` is in `splitting`."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from unmask.decoding.canvas import Canvas
from unmask.decoding.splitting import completed
from unmask.decoding.step import advance, done, init
from unmask.decoding.strategy import Strategy
from unmask.types import Denoiser, Generation, StepInfo


def stream_strategy(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor
) -> Iterator[StepInfo]:
    """Each step as it happens, until every row is finished; never in parts."""
    state = init(denoiser, canvas, strategy, seeds)
    while not done(state):
        info = advance(state, denoiser, strategy)
        state = info.state
        yield info


def run_strategy(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy,
    seeds: Tensor,
    max_memory: int | str | None = None,
) -> Generation:
    """The record of a whole generation, in parts where memory asks for it (`completed`)."""
    return completed(init(denoiser, canvas, strategy, seeds), denoiser, strategy, max_memory)
