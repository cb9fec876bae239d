"""The tokens that are likeliest together among those that an automaton allows (DINGO 2505.23061).

Dynamic programming over positions and states, with the best id of each class. Positions that stay
unknown may hold anything, as the mask token does in the paper. Shapes: B rows, N positions, V
vocabulary, S states, C classes, E edges, M positions that commit, m of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.constraints.moves import Moves
from unmask.decoding.propose import Head
from unmask.decoding.queried import Queried
from unmask.decoding.reading import Reading

_NONE = -torch.inf


def likeliest_together(
    head: Head, places: Queried, reading: Reading, after: Tensor
) -> dict[str, Tensor]:
    """Return the tokens (M,) of the largest product of probabilities, their record beside.

    places: in the order of their positions. after: as of `Moves.after`.
    """
    moves = reading.moves
    logits = _Logits(head, places.split(head.chunk))
    best, largest = _best_of_classes(logits, moves)
    rows, length = reading.tokens.shape
    number = torch.full((rows, length), -1, device=places.index.device)  # of a place, −1 for none
    number[places.row, places.position] = torch.arange(len(places), device=number.device)
    end = int(places.position[-1]) + 1
    column = moves.classes[reading.tokens.masked_fill(~reading.known, 0)]
    score = torch.where(moves.started(rows), 0.0, _NONE).double()
    taken = list[Tensor]()
    for i in range(end):
        gain = _gain(moves, best, number[:, i], column[:, i], reading.known[:, i])
        if reading.legal is not None:
            never = ~reading.legal[:, i, moves.edge_class] & ~reading.known[:, i, None]
            gain = gain.masked_fill(never, _NONE)
        score, edge = _advanced(moves, score, gain, reading.read[:, i])
        taken.append(edge)
    state = score.masked_fill(~after[end], _NONE).argmax(1)
    chosen = torch.zeros(len(places), dtype=torch.int64, device=state.device)  # classes
    for i in range(end - 1, -1, -1):
        edge = taken[i].gather(1, state.unsqueeze(1)).squeeze(1)
        here = (number[:, i] >= 0).nonzero().squeeze(1)
        chosen[number[here, i]] = moves.edge_class[edge[here]]
        state = moves.edge_from[edge.clamp(min=0)].where(edge >= 0, state)
    logprob = best.gather(1, chosen.unsqueeze(1)).squeeze(1).float()
    return {
        "token": _best_ids(logits, moves, chosen),
        "logprob": logprob,
        "sampling_logprob": torch.zeros_like(logprob),
        "max_logit": largest,
    }


def _gain(moves: Moves, best: Tensor, number: Tensor, column: Tensor, known: Tensor) -> Tensor:
    """(B,E) float64: log p of the best id of an edge's class, 0 where no token is chosen."""
    chosen = best[number.clamp(min=0)][:, moves.edge_class]
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


@dataclass
class _Logits:
    """The logits at the places; those of one chunk are kept, of more they are computed again."""

    head: Head
    chunks: list[Queried]
    kept: Tensor | None = None

    def each(self) -> Iterator[Tensor]:
        """Yield (m,V) float32 for each chunk of the places."""
        for chunk in self.chunks:
            logits = self.head.legal_logits(chunk) if self.kept is None else self.kept
            self.kept = logits if len(self.chunks) == 1 else None
            yield logits


def _best_of_classes(logits: _Logits, moves: Moves) -> tuple[Tensor, Tensor]:
    """The largest log p (M,C+1) of each class, float64; and the largest logit (M,) of all."""
    parts, largest = list[Tensor](), list[Tensor]()
    for each in logits.each():
        best = each.new_full((len(each), moves.table.shape[1]), _NONE)
        best = best.scatter_reduce(1, moves.drawn.expand_as(each), each, "amax")
        parts.append((best - each.logsumexp(1, keepdim=True)).double())
        largest.append(each.amax(1))
    return torch.cat(parts), torch.cat(largest)


def _best_ids(logits: _Logits, moves: Moves, chosen: Tensor) -> Tensor:
    """The likeliest id (M,) of the chosen class (M,) of each place."""
    found, begin = list[Tensor](), 0
    for each in logits.each():
        wanted = chosen[begin : begin + len(each)].unsqueeze(1)
        found.append(each.masked_fill(moves.drawn != wanted, _NONE).argmax(1))
        begin += len(each)
    return torch.cat(found)
