"""Joint constraints: commits made one at a time, each under the veto of a feasibility hook.

Shapes: B rows, N positions, V vocabulary; b rows that commit at a turn.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from unmask.constraints import Feasible
from unmask.core.arrays import arange
from unmask.core.network import Denoiser
from unmask.core.ranking import eligible_score, ranked_positions
from unmask.core.state import Change, Proposal, State
from unmask.decoding.context import ask
from unmask.decoding.faults import first_fault
from unmask.decoding.propose import propose
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError


def enforce_feasibility(
    state: State,
    strategy: Strategy,
    denoiser: Denoiser,
    hidden: Tensor,
    proposal: Proposal,
    score: Tensor,
    change: Change,
) -> Proposal:
    """Return the proposal with what the hook vetoes drawn again, best-scored position first.

    Each position is drawn from the model's distribution there, cut to what the hook allows given
    the prompt, what was committed before and what this step has committed so far. The draw is the
    one of the proposal (same uniforms), so a token that is allowed where all others are stays.
    """
    hook = strategy.constraint.feasible
    assert hook is not None
    tokens, known = state.tokens, state.valid & ~state.masked
    if change.remask is not None:
        known = known & ~change.remask
    out = proposal
    turn = _turns(score, change.commit)
    for nth in range(int(change.commit.sum(1).max()) if len(known) else 0):
        row, position = ((turn == nth) & change.commit).nonzero().unbind(1)
        allowed = _ask(hook, state, tokens[row], known[row], row, position)
        here = torch.zeros_like(known)
        here[row, position] = True
        once = propose(state, strategy, denoiser, hidden, here, allowed=allowed)
        out = _replaced(out, once, here)
        tokens, known = once.token.where(here, tokens), known | here
    return out


def _turns(score: Tensor, commit: Tensor) -> Tensor:
    """(B,N) int64: when each commit has its turn, the best-scored first."""
    order = ranked_positions(eligible_score(score, commit))
    turn = arange(score.shape[1], score.device).expand_as(order)
    return torch.empty_like(order).scatter(1, order, turn)


def _ask(
    hook: Feasible,
    state: State,
    tokens: Tensor,
    known: Tensor,
    row: Tensor,
    position: Tensor,
) -> Tensor:
    """(b,V) bool: what may stand at these positions. StrategyError where that is nothing."""
    padding = {"valid": state.valid[row]} if _takes_valid(hook) else {}
    allowed: Tensor = ask(
        partial(hook, **padding),
        tokens.masked_fill(~known, 0),
        known,
        position,
        what="the feasibility hook",
        of=state,
        shape=(len(row), state.spec.vocab_size),
    )
    stuck = (~allowed.any(1)).nonzero().squeeze(1)
    if len(stuck):
        at = int(row[stuck[0]])
        stuck_row = int(state.rows.index[at])
        error = StrategyError(
            f"the feasibility hook allows nothing at row {stuck_row}, position "
            f"{int(position[stuck[0]])}, step {int(state.rows.step[at])}: what is given cannot be "
            "completed, or the hook allowed an id earlier that it should not have"
        )
        error.rows = (stuck_row,)
        raise error
    return allowed


def _takes_valid(hook: Feasible) -> bool:
    """Whether the hook takes an argument `valid`."""
    try:
        return "valid" in inspect.signature(hook).parameters
    except (TypeError, ValueError):
        return False


def _replaced(proposal: Proposal, once: Proposal, here: Tensor) -> Proposal:
    """The proposal with another one's values here."""
    faults = (proposal.fault, once.fault)
    fault = first_fault(faults[0], faults[1]) if faults[0] is not None else faults[1]
    return replace(
        proposal,
        token=once.token.where(here, proposal.token),
        logprob=once.logprob.where(here, proposal.logprob),
        sampling_logprob=once.sampling_logprob.where(here, proposal.sampling_logprob),
        fault=fault,
    )
