"""Log-probabilities of given tokens, computed by the phases of a step.

Shapes: B rows, N positions; b rows of one forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from unmask.decoding.context import error_context
from unmask.decoding.faults import raise_faults
from unmask.decoding.propose import Head, propose
from unmask.errors import StrategyError
from unmask.objectives.blocks import blocks_of
from unmask.orders import Random

Report = Callable[[int, int], None]
"""A function report(done, total) of the work done, in units of the method."""

# The model's own distribution: temperature 1, no filters, no forbidden ids beyond the model's.
_OWN = Strategy(commit=TopK(schedules.linear, 1), order=Random())


@dataclass(frozen=True)
class Estimate:
    """Nats of each example, and how sure they are."""

    nats: Tensor  # (B,) float64
    variance: Tensor  # (B,) float64: of the nats over seeds; 0 where exact, NaN where not known


class Method(Protocol):
    """A method of scoring, such as `Bound()`."""

    @property
    def kind(self) -> str:
        """The meaning of the result: "bound", "exact" or "pseudo"."""

    def __call__(
        self, denoiser: Denoiser, canvas: Canvas, seed: int, batch_size: int, report: Report
    ) -> Tensor | Estimate:
        """Return nats of the editable positions, (B,) float64 alone if their variance is not known.

        batch_size: rows of a forward.
        """


def initial_state(
    denoiser: Denoiser, canvas: Canvas, seed: int, strategy: Strategy = _OWN
) -> State:
    """Return a state in which all editable positions are unknown; row i has example i's seed."""
    if strategy is _OWN and canvas.steps is not None:
        raise StrategyError(
            "steps= applies to a strategy only: score by scoring.Ordered(strategy), or leave it out"
        )
    index = torch.arange(len(canvas.tokens), device=canvas.tokens.device)
    return init(denoiser, canvas, strategy, fold(seed, index))


def nats(denoiser: Denoiser, state: State, rows: Tensor, masked: Tensor) -> Tensor:
    """Return (b,N) float64: −log p at the positions masked (b,N) bool, and 0 elsewhere.

    rows: (b,) int64. Each masked position is predicted from the other ones; the head runs there
    alone. In a network with blocks, blocks before that of the position are all known, as they are
    when it is generated: in one forward over two streams, or by a forward for each block if the
    network cannot run on these.
    """
    shown = state.take(rows.cpu().numpy())
    if denoiser.spec.block_size is None:
        return _nats(denoiser, shown, masked, shown.editable)
    block, _ = blocks_of(denoiser, shown.editable)
    first = block.masked_fill(~masked, block.shape[1]).amin(1)
    opened = shown.editable & (block == first.unsqueeze(1))
    if not bool((masked & ~opened).any()):
        return _nats(denoiser, shown, masked, opened)
    if denoiser.spec.two_streams:
        return _nats(denoiser, shown, masked, shown.editable, shown.tokens)
    found = torch.zeros(masked.shape, dtype=torch.float64, device=masked.device)
    for each in block[masked].unique():
        here = block == each
        found += _nats(denoiser, shown, masked & here, shown.editable & here)
    return found


def _nats(
    denoiser: Denoiser, state: State, masked: Tensor, opened: Tensor, clean: Tensor | None = None
) -> Tensor:
    """Return `nats` of all rows of a state, by one forward.

    opened: (b,N) bool, the positions whose share that is masked tells a network the time.
    """
    shown = replace(state, masked=masked)
    known = replace(shown, masked=torch.zeros_like(masked))
    query = prepare(shown, _OWN).with_inputs(denoiser.spec.inputs, masked, opened)
    query = replace(query, clean=clean)
    with evaluating(denoiser), error_context(shown.rows, "the network"):
        hidden, _ = forward(denoiser, query)
        proposal = propose(Head(known, _OWN, denoiser, hidden), masked, holds=True)
    raise_faults(proposal.fault, shown)
    return -proposal.logprob.double()
