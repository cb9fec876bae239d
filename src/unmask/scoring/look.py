"""Asking the network how likely tokens are that are known, by the engine's own way of asking.

Shapes: B rows, N positions; b rows of one forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from unmask import schedules
from unmask.decoding import Canvas, Strategy, init
from unmask.decoding.faults import look_now
from unmask.decoding.look import predict, propose
from unmask.inference import evaluating
from unmask.ordering import Random
from unmask.pace import Scheduled
from unmask.random import fold
from unmask.types import Denoiser, Prediction, Proposal, State

Report = Callable[[int, int], None]
"""report(done, total): how much of the work is done, in units of the method's own."""

# What the model itself says: nothing shaped, nothing forbidden but what is never data.
_OWN = Strategy(pace=Scheduled(schedules.linear, 1), order=Random())


class Method(Protocol):
    """How log-probabilities are measured: a value such as `Bound()`."""

    @property
    def kind(self) -> str:
        """What the sum of the nats is: "bound", "exact" or "pseudo"."""
        ...

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Tensor:
        """(B,) float64 nats; asked is where the canvas is editable. batch_size: rows a forward."""
        ...


def opened(denoiser: Denoiser, canvas: Canvas, seed: int, strategy: Strategy = _OWN) -> State:
    """The state before anything is known of what is asked; row i has the seed of example i."""
    index = torch.arange(len(canvas.tokens), device=canvas.tokens.device)
    return init(denoiser, canvas, strategy, fold(seed, index))


def told(
    prediction: Prediction,
    denoiser: Denoiser,
    strategy: Strategy,
    state: State,
    looked: Tensor,
    count: int | None = None,
) -> Proposal:
    """`propose` with the tokens that stand under the masks in place of drawn ones."""
    known = replace(state, masked=torch.zeros_like(state.masked))
    return propose(prediction, denoiser, strategy, known, looked, count=count)


def nats(denoiser: Denoiser, state: State, rows: Tensor, masked: Tensor) -> Tensor:
    """One forward of the rows (b,) with masked (b,N) hidden: (b,) float64, −log p summed over it.

    Every hidden position is given what is visible, and the head runs there alone.
    """
    shown = replace(state.take(rows), masked=masked)
    with evaluating(denoiser):
        proposal = told(predict(denoiser, shown), denoiser, _OWN, shown, masked)
    look_now(proposal.fault, shown)
    return -proposal.logprob.double().sum(1)
