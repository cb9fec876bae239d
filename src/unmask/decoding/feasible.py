"""Joint constraints: commits made one at a time, each under the veto of a feasibility hook.

Shapes: B rows, N positions, V vocabulary; b rows that commit at a turn.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

import torch
from torch import Tensor

from unmask.decoding.blame import placed
from unmask.decoding.faults import first
from unmask.decoding.look import propose
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError
from unmask.feasibility import Feasible
from unmask.ranking import places
from unmask.types import Change, Denoiser, Prediction, Proposal, State


def settled(
    prediction: Prediction,
    denoiser: Denoiser,
    strategy: Strategy,
    state: State,
    proposal: Proposal,
    score: Tensor,
    change: Change,
) -> Proposal:
    """The proposal with what the hook vetoes drawn again, best-scored position first.

    Each position is drawn from what the network says there, cut to what the hook allows given the
    prompt, what was committed before and what this step has committed so far. The draw is the one
    of the proposal (same uniforms), so a token that is allowed where all others are stays.
    """
    hook = strategy.constraint.feasible
    if hook is None:
        return proposal
    tokens, known = state.tokens, (state.valid & ~state.masked) & ~change.remask
    out = proposal
    turn = _turns(score, change.commit)
    for nth in range(int(change.commit.sum(1).max()) if len(known) else 0):
        row, position = ((turn == nth) & change.commit).nonzero().unbind(1)
        allowed = _ask(hook, state, tokens[row], known[row], row, position, denoiser)
        here = torch.zeros_like(known)
        here[row, position] = True
        once = propose(prediction, denoiser, strategy, state, here, allowed)
        out = _placed(out, once, here)
        tokens, known = once.token.where(here, tokens), known | here
    return out


def _turns(score: Tensor, commit: Tensor) -> Tensor:
    """(B,N) int64: when each commit has its turn, the best-scored first."""
    order = places(score, commit)
    turn = torch.arange(score.shape[1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter(1, order, turn)


def _ask(
    hook: Feasible,
    state: State,
    tokens: Tensor,
    known: Tensor,
    row: Tensor,
    position: Tensor,
    denoiser: Denoiser,
) -> Tensor:
    """(b,V) bool: what may stand at these positions. StrategyError where that is nothing."""
    padding = {"valid": state.valid[row]} if _takes_valid(hook) else {}
    with placed(state, "the feasibility hook"):
        allowed = hook(tokens.masked_fill(~known, 0), known, position, **padding)
    wanted = (len(row), denoiser.vocab_size)
    if tuple(allowed.shape) != wanted or allowed.dtype != torch.bool:
        raise StrategyError(
            f"the feasibility hook returned {allowed.dtype} of shape {tuple(allowed.shape)}: "
            f"return bool of shape {wanted}, True where an id may stand"
        )
    stuck = (~allowed.any(1)).nonzero().squeeze(1)
    if len(stuck):
        at = int(stuck[0])
        raise StrategyError(
            f"the feasibility hook allows nothing at row {int(state.row[row[at]])}, position "
            f"{int(position[at])}, step {int(state.step[row[at]])}: what is given cannot be "
            "completed, or the hook allowed an id earlier that it should not have"
        )
    return allowed


def _takes_valid(hook: Feasible) -> bool:
    """Whether the hook wants to be told where rows end."""
    try:
        return "valid" in inspect.signature(hook).parameters
    except (TypeError, ValueError):
        return False


def _placed(proposal: Proposal, once: Proposal, here: Tensor) -> Proposal:
    return replace(
        proposal,
        token=once.token.where(here, proposal.token),
        logprob=once.logprob.where(here, proposal.logprob),
        drawn_logprob=once.drawn_logprob.where(here, proposal.drawn_logprob),
        fault=once.fault if proposal.fault is None else first(proposal.fault, once.fault),
    )
