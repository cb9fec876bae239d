"""Automata over the bytes of texts, and one in place of a byte of another.

Shapes: S states; 256 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_Place = tuple[
    int, int
]  # a state of the outer one, and −1 or the state of the inner one on the way


@dataclass(frozen=True, eq=False)
class ByteAutomaton:
    """An automaton that reads the bytes of a text.

    table: int32 (S,256), the state after a byte, −1 for none. accept: (S,) bool. start: a state.
    """

    table: np.ndarray
    accept: np.ndarray
    start: int

    def accepts(self, text: str) -> bool:
        """Return whether a text is accepted."""
        state = self.start
        for byte in text.encode():
            state = int(self.table[state, byte])
            if state < 0:
                return False
        return bool(self.accept[state])

    def within(self, other: ByteAutomaton) -> bool:
        """Return whether the other accepts all that this one does."""
        seen = {(self.start, other.start)}
        waiting = list(seen)
        while waiting:
            here, there = waiting.pop()
            if self.accept[here] and (there < 0 or not other.accept[there]):
                return False
            for byte in np.flatnonzero(self.table[here] >= 0).tolist():
                after = -1 if there < 0 else int(other.table[there, byte])
                pair = (int(self.table[here, byte]), after)
                if pair not in seen:
                    seen.add(pair)
                    waiting.append(pair)
        return True


def expanded(outer: ByteAutomaton, inner: ByteAutomaton, byte: int) -> ByteAutomaton:
    """Return the automaton of texts of another in which each such byte is a text of the inner one.

    No text of the inner one may begin another of it. States are sets of places, since a text of the
    inner one and what else the outer one has may begin alike.
    """
    table = outer.table.copy()
    table[:, byte] = -1
    columns, of_byte = np.unique(
        np.concatenate([table, inner.table]).T, axis=0, return_inverse=True
    )
    plain, within = columns[:, : len(table)].T.tolist(), columns[:, len(table) :].T.tolist()
    done = inner.accept.tolist()
    behind = outer.table[:, byte].tolist()

    def after(place: _Place, column: int) -> list[_Place]:
        state, way = place
        found = list[_Place]()
        if way < 0 and plain[state][column] >= 0:
            found.append((plain[state][column], -1))
        target, way = (behind[state], inner.start) if way < 0 else (state, way)
        if target >= 0 and (moved := within[way][column]) >= 0:
            found.append((target, -1 if done[moved] else moved))
        return found

    start = frozenset([(outer.start, -1)])
    number, waiting, rows = {start: 0}, [start], list[list[int]]()
    for places in waiting:  # which grows
        row = []
        for column in range(len(columns)):
            reached = frozenset(new for place in places for new in after(place, column))
            if reached and reached not in number:
                number[reached] = len(number)
                waiting.append(reached)
            row.append(number[reached] if reached else -1)
        rows.append(row)
    accept = [any(way < 0 and outer.accept[state] for state, way in places) for places in waiting]
    return ByteAutomaton(np.array(rows, np.int32)[:, of_byte.ravel()], np.array(accept), 0)
