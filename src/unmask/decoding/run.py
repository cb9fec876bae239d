"""`run` and `stream` are loops over `step`, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from unmask.decoding.canvas import Canvas
from unmask.decoding.step import advance, done, finish, init
from unmask.decoding.strategy import Strategy
from unmask.types import Denoiser, Generation, StepInfo


def stream_strategy(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor
) -> Iterator[StepInfo]:
    """Each step as it happens, until every row is finished."""
    state = init(denoiser, canvas, strategy, seeds)
    while not done(state):
        info = advance(state, denoiser, strategy)
        state = info.state
        yield info


def run_strategy(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor
) -> Generation:
    """The record of a whole generation."""
    state = init(denoiser, canvas, strategy, seeds)
    while not done(state):
        state = advance(state, denoiser, strategy).state
    return finish(state)
