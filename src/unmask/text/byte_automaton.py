"""Automata over the bytes of texts, in UTF-8.

Shapes: S states; 256 bytes; K classes of characters; n nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.text.regex import CharacterAutomaton, NoAutomaton

_STATES = 200_000  # at most
_WIDTH = 64  # bytes that continue a character: 0x80 to 0xBF
# Characters of two, three and four bytes: the first, the end, the first byte of all there may be.
_RANGES = ((0x80, 0x800, 0xC0), (0x800, 0x10000, 0xE0), (0x10000, 0x110000, 0xF0))


@dataclass(frozen=True, eq=False)
class ByteAutomaton:
    """An automaton that reads the bytes of a text.

    table: int32 (S,256), the state after a byte, −1 for none. accept: (S,) bool. start: a state.
    """

    table: np.ndarray
    accept: np.ndarray
    start: int

    @classmethod
    def of(cls, given: CharacterAutomaton) -> ByteAutomaton:
        """Return the automaton of the bytes of texts of another one. NoAutomaton for too large."""
        tree = _prefixes(given.alphabet.of, given.alphabet.size)
        rows = [np.full(256, -1, np.int32) for _ in given.table]
        number: dict[bytes, int] = {}  # of rows behind a part of a character
        for row, after in zip(list(rows), given.table, strict=True):
            row[:128] = after[given.alphabet.of[:128]]
            _continue(rows, row, after, tree, number)
            if len(rows) > _STATES:
                raise NoAutomaton(f"it is too large: over bytes it has more than {_STATES} states")
        accept = np.zeros(len(rows), bool)
        accept[: len(given.accept)] = given.accept
        return cls(np.stack(rows), accept, 0)

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
            leads = self.table[here] >= 0
            after = other.table[there, leads] if there >= 0 else np.full(leads.sum(), -1)
            new = {*zip(self.table[here, leads].tolist(), after.tolist(), strict=True)} - seen
            seen |= new
            waiting += new
        return True


@dataclass(frozen=True)
class _Prefixes:
    """Beginnings of characters, those that lead on alike as one node.

    nodes: for 1, 2 and 3 bytes that are to come, (n,64): what each byte leads to, a node of one
    byte fewer or, at the last, a class; the last node, or class K, is what no character has.
    leads: the first bytes of characters of 2, 3 and 4 bytes, and the node behind each.
    """

    nodes: list[np.ndarray]
    leads: list[tuple[int, np.ndarray]]


def _prefixes(of: np.ndarray, nothing: int) -> _Prefixes:
    nodes, leads = list[np.ndarray](), list[tuple[int, np.ndarray]]()
    below, empty, width = of, nothing, 1  # width: characters behind one of those below
    for first, end, byte in _RANGES:
        below = np.pad(below, (0, -len(below) % _WIDTH), constant_values=empty)
        below[: first // width] = empty  # which take fewer bytes
        unique, which = _unique(below.reshape(-1, _WIDTH))
        nodes.append(np.concatenate([unique, np.full((1, _WIDTH), empty)]))
        below, empty, width = which, len(unique), width * _WIDTH
        leads.append((byte, below[: -(-end // width)]))
    return _Prefixes(nodes, leads)


def _unique(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows, and which of them each row is; runs of equal rows are quick."""
    starts = np.flatnonzero(np.append(True, (rows[1:] != rows[:-1]).any(1)))
    number: dict[bytes, int] = {}
    which = np.array([number.setdefault(rows[at].tobytes(), len(number)) for at in starts])
    unique = rows[starts[np.unique(which, return_index=True)[1]]]
    return unique, np.repeat(which, np.diff(np.append(starts, len(rows))))


def _continue(
    rows: list[np.ndarray],
    row: np.ndarray,
    after: np.ndarray,
    tree: _Prefixes,
    number: dict[bytes, int],
) -> None:
    """Write what a state has at the first bytes of characters of several, with states behind."""
    reached = after
    for nodes, (byte, leads) in zip(tree.nodes, tree.leads, strict=True):
        targets = reached[nodes]
        reached = np.full(len(nodes), -1, np.int32)
        for nth in np.flatnonzero((targets >= 0).any(1)).tolist():
            key = targets[nth].tobytes()
            reached[nth] = number.setdefault(key, len(rows))
            if reached[nth] == len(rows):
                new = np.full(256, -1, np.int32)
                new[0x80 : 0x80 + _WIDTH] = targets[nth]
                rows.append(new)
        row[byte : byte + len(leads)] = reached[leads]
