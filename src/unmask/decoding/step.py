"""The loop's body, on one screen. `init`, `step`, `done` and `finish` are the whole contract."""

from __future__ import annotations

from dataclasses import replace

import torch

from unmask.core.arrays import waits
from unmask.core.generation import Generation
from unmask.core.inference import evaluating
from unmask.core.network import Denoiser
from unmask.core.state import State, StepInfo
from unmask.decoding.context import error_context
from unmask.decoding.decide import decide
from unmask.decoding.faults import raise_faults
from unmask.decoding.growing import whole
from unmask.decoding.inputs import check_basis, check_state, check_strategy
from unmask.decoding.packing import forward
from unmask.decoding.prepare import prepare
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError


def step(state: State, denoiser: Denoiser, strategy: Strategy) -> StepInfo:
    """Take one more step of every row that is not finished; `info.state` is the state after it.

    Finished rows neither change nor cost. Raises StrategyError where all are finished, and for a
    strategy under which the state cannot go on.
    """
    if done(state):
        raise StrategyError("every row is finished: step while not done(state), then finish(state)")
    check_strategy(strategy)
    check_basis(state, strategy, denoiser)
    rows = state.rows.unfinished
    part = state.take(rows)
    with evaluating(denoiser):
        query = prepare(part, strategy)
        with error_context(part.rows, "the network"):
            hidden, cache = forward(denoiser, query, part.cache)
        info = decide(part, strategy, denoiser, query, hidden, cache)
    return replace(info, state=state.put(rows, info.state), rows=rows)


def done(state: State) -> bool:
    """Whether every row is finished."""
    check_state(state)
    return bool(state.rows.finished.all())


def finish(state: State) -> Generation:
    """Return the record of a finished generation; StrategyError while a row has unknown positions.

    What went wrong far from the host is raised here at the latest.
    """
    if not done(state):
        unfinished = state.rows.index[~state.rows.finished].tolist()
        raise StrategyError(
            f"rows {unfinished} still have unknown positions: step until done(state)"
        )
    if state.exact_counts and waits(state.device):  # otherwise a report has raised them
        raise_faults(state.fault, state)
    editable, valid = whole(state)
    numbers = {
        "steps": state.rows.step,
        "forwards": state.rows.forwards,
        "seeds": state.rows.seed,
    }
    return Generation(
        tokens=state.tokens,
        logprob=state.logprob,
        sampling_logprob=state.sampling_logprob,
        commit_step=state.commit_step,
        **{name: torch.from_numpy(n.copy()).to(state.device) for name, n in numbers.items()},
        editable=editable,
        valid=valid,
    )
