"""Log-probabilities of known tokens, by the engine's own phases.

Shapes: B rows, N positions; b rows of one forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from unmask import schedules
from unmask.commit import TopK
from unmask.core.inference import evaluating
from unmask.core.network import Denoiser
from unmask.core.random import fold
from unmask.core.state import State
from unmask.decoding import Canvas, Strategy, forward, init, prepare
from unmask.decoding.faults import raise_faults
from unmask.decoding.propose import propose
from unmask.errors import StrategyError
from unmask.orders import Random

Report = Callable[[int, int], None]
"""report(done, total): how much of the work is done, in units of the method's own."""

# The model's own distribution: nothing shaped, nothing forbidden but what is never data.
_OWN = Strategy(commit=TopK(schedules.linear, 1), order=Random())


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


def initial_state(
    denoiser: Denoiser, canvas: Canvas, seed: int, strategy: Strategy = _OWN
) -> State:
    """Return the state before anything is known of what is asked; row i has example i's seed."""
    if strategy is _OWN and canvas.steps is not None:
        raise StrategyError(
            "steps are those of a strategy: score by scoring.Ordered(strategy), or leave steps= out"
        )
    index = torch.arange(len(canvas.tokens), device=canvas.tokens.device)
    return init(denoiser, canvas, strategy, fold(seed, index))


def nats(denoiser: Denoiser, state: State, rows: Tensor, masked: Tensor) -> Tensor:
    """One forward of the rows (b,) with masked (b,N) hidden: (b,) float64, −log p summed over it.

    Every hidden position is given what is visible, and the head runs there alone.
    """
    shown = replace(state.take(rows.cpu().numpy()), masked=masked)
    known = replace(shown, masked=torch.zeros_like(masked))
    with evaluating(denoiser):
        hidden, _ = forward(denoiser, prepare(shown, _OWN))
        proposal = propose(known, _OWN, denoiser, hidden, masked, holds=True)
    raise_faults(proposal.fault, shown)
    return -proposal.logprob.double().sum(1)
