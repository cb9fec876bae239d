"""Rows as an automaton reads them, and whether it can complete them.

Shapes: B rows, N positions, S states.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.constraints import Automaton
from unmask.constraints.automaton import moves_of
from unmask.constraints.moves import Moves
from unmask.core.arrays import first_true
from unmask.core.head import illegal_ids
from unmask.core.state import State
from unmask.errors import CanvasError, StrategyError


@dataclass
class Reading:
    """Rows as an automaton reads them; tokens and known grow as positions are drawn."""

    automaton: Automaton
    moves: Moves
    tokens: Tensor  # (B,N) int64
    known: Tensor  # (B,N) bool
    read: Tensor  # (B,N) bool: the positions that the automaton reads
    legal: Tensor | None  # (B,N,C+1) bool: the classes that unknown positions may have

    @classmethod
    def of(cls, state: State, automaton: Automaton, forbidden: tuple[int, ...]) -> Reading:
        """Return the rows of a state; what a canvas requires counts as known."""
        moves = moves_of(automaton, illegal_ids(state.spec, forbidden), state.device)
        read = automaton.reads(state.editable, state.valid)
        tokens, known = state.tokens, read & ~state.masked
        if state.required is not None:
            wanted = read & state.masked & (state.required >= 0)
            tokens, known = state.required.where(wanted, tokens), known | wanted
        legal = None if state.legal is None else moves.legal(state.legal)
        return cls(automaton, moves, tokens, known, read, legal)

    def after(self) -> Tensor:
        """Return (N+1,B,S) bool: the states before a position that allow the rest."""
        return self.moves.after(self.tokens, self.known, self.read, self.legal)


def check_completable(state: State, automaton: Automaton, forbidden: tuple[int, ...]) -> None:
    """Raise unless an automaton has ids for the vocabulary, and can complete every row of a state.

    StrategyError for the ids, CanvasError for a row, with the shortest length where all is unknown.
    """
    vocab = state.spec.vocab_size
    if automaton.vocab_size != vocab:
        raise StrategyError(
            f"the automaton has {automaton.vocab_size} ids and the network {vocab}: give "
            f"transitions, or classes, {vocab} entries"
        )
    reading = Reading.of(state, automaton, forbidden)
    automaton.check_known(reading.tokens, reading.known)
    wanted = state.masked.any(1)
    stuck = first_true(wanted & ~reading.after()[0, :, automaton.start])
    if stuck is None:
        return
    row = stuck[0]
    length, index = int(reading.read[row].sum()), int(state.rows.index[row])
    given = int(reading.known[row].sum())
    if reading.legal is not None:
        why = "with ids that are legal there"
    elif given:
        why = f"with the {given} that are given among them"
    elif (shortest := reading.moves.shortest()) is None:
        why = "nor any other number of them"
    elif shortest > length:
        why = f"which takes {shortest} at least"
    else:
        why = f"though it accepts some of {shortest}"
    raise CanvasError(
        f"the automaton accepts no sequence of the {length} positions of row {index} that it "
        f"reads, {why}: pass another number of positions, other given tokens, or another automaton",
        rows=(index,),
    )
