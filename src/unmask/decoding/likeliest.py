"""The tokens that are likeliest together among those that an automaton allows (DINGO 2505.23061).

Dynamic programming over positions and states, with the best id of each class. Positions that stay
unknown may hold anything, as the mask token does in the paper. Shapes: B rows, N positions, V
vocabulary, S states, C classes, E edges, M positions that commit, m of a chunk.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unmask.constraints.moves import Moves
from unmask.decoding.propose import Head
from unmask.decoding.queried import Queried
from unmask.decoding.reading import Reading

_NONE = -torch.inf


class _Best(NamedTuple):
    """The best id of each class at the positions that commit, all (M,C+1)."""

    logprob: Tensor
    token: Tensor


def likeliest_together(
    head: Head, places: Queried, reading: Reading, after: Tensor
) -> dict[str, Tensor]:
    """Return the tokens (M,) of the largest product of probabilities, their record beside.

    places: in the order of their positions. after: as of `Moves.after`.
    """
    moves = reading.moves
    best, largest = _best_of_classes(head, places, moves)
    rows, length = reading.tokens.shape
    number = torch.full((rows, length), -1, device=places.index.device)  # of a place, −1 for none
    number[places.row, places.position] = torch.arange(len(places), device=number.device)
    end = int(places.position[-1]) + 1
    column = moves.classes[reading.tokens.masked_fill(~reading.known, 0)]
    score = torch.where(moves.started(rows), 0.0, _NONE).double()
    taken = list[Tensor]()
    for i in range(end):
        gain = _gain(moves, best, number[:, i], column[:, i], reading.known[:, i])
        score, edge = _advanced(moves, score, gain, reading.read[:, i])
        taken.append(edge)
    state = score.masked_fill(~after[end], _NONE).argmax(1)
    token = torch.zeros(len(places), dtype=torch.int64, device=state.device)
    for i in range(end - 1, -1, -1):
        edge = taken[i].gather(1, state.unsqueeze(1)).squeeze(1)
        here = (number[:, i] >= 0).nonzero().squeeze(1)
        place = number[here, i]
        token[place] = best.token[place, moves.edge_class[edge[here]]]
        state = moves.edge_from[edge.clamp(min=0)].where(edge >= 0, state)
    chosen = best.logprob.gather(1, moves.drawn[token].unsqueeze(1)).squeeze(1)
    return {
        "token": token,
        "logprob": chosen.float(),
        "sampling_logprob": torch.zeros_like(chosen, dtype=torch.float32),
        "max_logit": largest,
    }


def _gain(moves: Moves, best: _Best, number: Tensor, column: Tensor, known: Tensor) -> Tensor:
    """(B,E) float64: log p of the best id of an edge's class, 0 where no token is chosen."""
    chosen = best.logprob[number.clamp(min=0)][:, moves.edge_class]
    gain = torch.where((number >= 0).unsqueeze(1), chosen, 0.0)
    other = known.unsqueeze(1) & (moves.edge_class != column.unsqueeze(1))
    return gain.masked_fill(other, _NONE)


def _advanced(moves: Moves, score: Tensor, gain: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
    """The best score (B,S) of each state a position later, and the edge (B,S) that leads there.

    −1 where the position is not read. Of equal scores the first edge counts.
    """
    reached = score[:, moves.edge_from] + gain
    into = moves.edge_to.expand_as(reached)
    later = torch.full_like(score, _NONE).scatter_reduce(1, into, reached, "amax")
    number = torch.arange(reached.shape[1], device=score.device).expand_as(reached)
    number = number.where(reached == later.gather(1, into), reached.shape[1] - 1)
    edge = torch.full(score.shape, reached.shape[1] - 1, device=score.device)
    edge = edge.scatter_reduce(1, into, number, "amin")
    skipped = ~read.unsqueeze(1)
    return score.where(skipped, later), edge.masked_fill(skipped, -1)


def _best_of_classes(head: Head, places: Queried, moves: Moves) -> tuple[_Best, Tensor]:
    """The best legal id of each class at the places; and the largest logit (M,) of each."""
    count, parts = moves.table.shape[1], list[tuple[Tensor, Tensor]]()
    largest = list[Tensor]()
    for chunk in places.split(head.chunk):
        logits = head.legal_logits(chunk)
        largest.append(logits.amax(1))
        logp = logits.double().log_softmax(1)
        of = moves.drawn.expand_as(logp)
        best = logp.new_full((len(chunk), count), _NONE).scatter_reduce(1, of, logp, "amax")
        ids = torch.arange(logp.shape[1], device=logp.device).expand_as(logp)
        ids = ids.where(logp == best.gather(1, of), logp.shape[1] - 1)
        first = torch.full(best.shape, logp.shape[1] - 1, device=logp.device)
        parts.append((best, first.scatter_reduce(1, of, ids, "amin")))
    logprob, token = (torch.cat(each) for each in zip(*parts, strict=True))
    return _Best(logprob, token), torch.cat(largest)
