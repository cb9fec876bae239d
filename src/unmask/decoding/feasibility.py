"""Joint constraints: commits made one at a time, each under the veto of a feasibility hook.

Shapes: B rows, N positions, V vocabulary; b rows that commit at a turn.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unmask.constraints import Feasible
from unmask.core.alternatives import Alternatives
from unmask.core.arrays import arange, first_true
from unmask.core.ranking import eligible_score, ranked_positions
from unmask.core.state import Change, Proposal, State
from unmask.decoding.context import ask
from unmask.decoding.faults import first_fault
from unmask.decoding.propose import Head, propose
from unmask.errors import StrategyError


def enforce_feasibility(head: Head, proposal: Proposal, score: Tensor, change: Change) -> Proposal:
    """Return the proposal with what the hook vetoes drawn again, best-scored position first.

    Each position is drawn from the model's distribution there, cut to what the hook allows given
    the prompt, what was committed before and what this step has committed so far. The draw is the
    one of the proposal (same uniforms), so a token that is allowed where all others are stays.
    """
    state, hook = head.state, head.strategy.constraint.feasible
    assert hook is not None
    tokens, known = state.tokens, state.valid & ~state.masked
    if change.remask is not None:
        known = known & ~change.remask
    out = proposal
    order = ranked_positions(eligible_score(score, change.commit))
    place = arange(score.shape[1], score.device).expand_as(order)
    turn = torch.empty_like(order).scatter(1, order, place)  # when each commit has its turn
    for nth in range(int(change.commit.sum(1).max()) if len(known) else 0):
        row, position = ((turn == nth) & change.commit).nonzero().unbind(1)
        allowed = _ask(hook, state, tokens[row], known[row], row, position)
        here = torch.zeros_like(known)
        here[row, position] = True
        once = propose(head, here, allowed=allowed)
        out = _replaced(out, once, here)
        tokens, known = once.token.where(here, tokens), known | here
    return out


def _ask(
    hook: Feasible, state: State, tokens: Tensor, known: Tensor, row: Tensor, position: Tensor
) -> Tensor:
    """(b,V) bool: what may stand at these positions. StrategyError where that is nothing."""
    padding = {"valid": state.valid[row]} if _takes_valid(hook) else {}
    what, shape = "the feasibility hook", (len(row), state.spec.vocab_size)
    shown, asked = tokens.masked_fill(~known, 0), partial(hook, **padding)
    allowed: Tensor = ask(asked, shown, known, position, what=what, of=state, shape=shape)
    if (stuck := first_true(~allowed.any(1))) is not None:
        at = int(row[stuck[0]])
        index = int(state.rows.index[at])
        raise StrategyError(
            f"the feasibility hook allows nothing at row {index}, position "
            f"{int(position[stuck[0]])}, step {int(state.rows.step[at])}: what is given cannot be "
            "completed, or the hook allowed an id earlier that it should not have",
            rows=(index,),
        )
    return allowed


def _takes_valid(hook: Feasible) -> bool:
    """Whether the hook takes an argument `valid`."""
    try:
        return "valid" in inspect.signature(hook).parameters
    except (TypeError, ValueError):
        return False


def _replaced(proposal: Proposal, once: Proposal, here: Tensor) -> Proposal:
    """The proposal with another one's values here."""
    fault = once.fault if proposal.fault is None else first_fault(proposal.fault, once.fault)
    drawn: dict[str, Any] = {
        name: getattr(once, name).where(here, getattr(proposal, name))
        for name in ("token", "logprob", "sampling_logprob")
    }
    if once.alternatives is not None and proposal.alternatives is not None:
        pairs = zip(once.alternatives, proposal.alternatives, strict=True)
        drawn["alternatives"] = Alternatives(*(a.where(here.unsqueeze(-1), b) for a, b in pairs))
    return replace(proposal, fault=fault, **drawn)
