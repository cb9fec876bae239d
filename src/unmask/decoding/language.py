"""Commits under an automaton: a pass backward over each row, then one forward that draws.

The backward pass finds the states from which the rest of a row can be completed. The forward pass
goes from left to right; each position that the step commits is drawn from the ids that lead to such
a state, or all of them are chosen together (`likeliest`).

Shapes: B rows, N positions, V vocabulary, S states, C classes of ids, M positions that commit, m of
a chunk, r of them at one position of the canvas.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unmask.constraints import Automaton
from unmask.core.alternatives import Alternatives
from unmask.core.state import Change, Proposal
from unmask.decoding.faults import first_fault, in_logits
from unmask.decoding.likeliest import likeliest_together
from unmask.decoding.propose import ALTERNATIVES, Head
from unmask.decoding.queried import Queried, find_queried
from unmask.decoding.reading import Reading


def enforce_automaton(head: Head, proposal: Proposal, change: Change) -> Proposal:
    """Return the proposal with tokens at the commits that leave every row completable.

    Each has the distribution that the strategy draws from there, cut to the ids that are allowed
    given all that is known and what the step has committed to the left, with the uniforms of the
    proposal: a token that is allowed where all others are stays.
    """
    state, constraint = head.state, head.strategy.constraint
    assert isinstance(constraint.feasible, Automaton)
    reading = Reading.of(state, constraint.feasible, constraint.forbidden)
    if change.remask is not None:
        reading.known = reading.known & ~change.remask
    places = find_queried(state, head.strategy, change.commit, None, False, None)
    if not len(places):
        return proposal
    after = reading.after()
    places = places.take(places.position.argsort(stable=True))  # from left to right
    if constraint.likeliest:
        found = likeliest_together(head, places, reading, after)
    else:
        found = _drawn(head, places, reading, after)
    fault = in_logits(found.pop("max_logit"), places.row, places.position, state)
    at = (places.row, places.position)
    new: dict[str, Any] = {n: getattr(proposal, n).index_put(at, found[n]) for n in _DRAWN}
    if proposal.alternatives is not None and ALTERNATIVES[0] in found:
        pairs = zip(proposal.alternatives, ALTERNATIVES, strict=True)
        new["alternatives"] = Alternatives(*(was.index_put(at, found[n]) for was, n in pairs))
    fault = fault if proposal.fault is None else first_fault(proposal.fault, fault)
    return replace(proposal, fault=fault, **new)


_DRAWN = ("token", "logprob", "sampling_logprob")


def _drawn(head: Head, places: Queried, reading: Reading, after: Tensor) -> dict[str, Tensor]:
    """The draws (M,) at places in the order of their positions, `max_logit` beside."""
    moves, parts = reading.moves, list[dict[str, Tensor]]()
    states, reached = moves.started(len(reading.tokens)), 0
    for chunk in places.split(head.chunk):
        logits = head.legal_logits(chunk)
        for position, here in _by_position(chunk):
            span = slice(reached, position)
            known = (reading.tokens[:, span], reading.known[:, span], reading.read[:, span])
            legal = None if reading.legal is None else reading.legal[:, span]
            states, reached = moves.forward(states, *known, legal), position
            some = chunk.take(here)
            allowed = moves.between(states[some.row], after[position + 1, some.row])
            allowed = allowed[:, moves.drawn]  # (r,V)
            parts.append(head.draw_from(some, logits[here].masked_fill(~allowed, -torch.inf)))
            at = (some.row, some.position)
            reading.tokens = reading.tokens.index_put(at, parts[-1]["token"])
            reading.known = reading.known.index_put(at, torch.ones_like(some.row, dtype=torch.bool))
    more = ALTERNATIVES if head.strategy.alternatives else ()
    names = (*_DRAWN, "max_logit", *more)
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def _by_position(places: Queried) -> list[tuple[int, slice]]:
    """Each position of the canvas that is among the places, and where it is."""
    positions, counts = places.position.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    found = zip(positions.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True)
    return [(position, slice(begin, end)) for position, begin, end in found]
