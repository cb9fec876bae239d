"""The characters that texts of a form need, and that no token of a model writes.

Shapes: S states, K classes of characters; 0x110000 characters, by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from unmask.text.characters import CHARACTERS
from unmask.text.regex import CharacterAutomaton, character_automaton

_TOLD = 3  # characters of a set, and sets, that are named


def missing_characters(pattern: str, parts: Iterable[bytes]) -> list[str]:
    """Return what is missing for the text of an expression that lacks the fewest characters.

    parts: the bytes of each token. An entry is a character, or some of a set that has one of them.
    Empty if all characters of some text are there.
    """
    given = character_automaton(pattern)
    size = given.alphabet.size
    has = np.zeros(size + 1, bool)
    has[given.alphabet.of[written(parts)]] = True
    lacking = _Search(given, has[:size]).lacking()
    return [_named(given, each) for each in dict.fromkeys(lacking)]


def written(parts: Iterable[bytes]) -> np.ndarray:
    """Return (0x110000,) bool: the characters that whole parts have, or that bytes make up."""
    found, single = np.zeros(CHARACTERS, bool), np.zeros(256, bool)
    for part in set(parts):
        try:
            found[[ord(character) for character in part.decode()]] = True
        except UnicodeDecodeError:
            single[list(part)] = True
    n = np.arange(CHARACTERS)
    last, third, second = (single[0x80 | (n >> shift) & 63] for shift in (0, 6, 12))
    found |= (n < 0x80) & single[n & 127]
    found |= (n >= 0x80) & (n < 0x800) & last & single[0xC0 | (n >> 6) & 31]
    found |= (n >= 0x800) & (n < 0x10000) & last & third & single[0xE0 | (n >> 12) & 15]
    found |= (n >= 0x10000) & last & third & second & single[0xF0 | n >> 18]
    return found


class _Search:
    """A search for the text that lacks the fewest characters, from state 0.

    has: (K,) bool, the classes of which a character is there. came: (S,2), the state and the class
    that led to each state first; −1 for those not reached, −2 for state 0.
    """

    def __init__(self, given: CharacterAutomaton, has: np.ndarray):
        self.given, self.has = given, has
        self.came = np.full((len(given.table), 2), -1)
        self.came[0] = -2

    def lacking(self) -> list[int]:
        """Return the classes that the text lacks, in its order."""
        reached = np.array([0])
        while len(reached):
            new = reached
            while len(new):  # all that lacks no more than this
                new = self._led(new, np.flatnonzero(self.has))
                reached = np.append(reached, new)
            ends = reached[self.given.accept[reached]]
            if len(ends):
                return self._lacked(int(ends[0]))
            reached = self._led(reached, np.flatnonzero(~self.has))
        return []

    def _led(self, states: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return the states that these lead to by classes, and that were not reached before."""
        found = list[int]()
        for state in states.tolist():
            new, first = np.unique(self.given.table[state, kinds], return_index=True)
            for target, place in zip(new.tolist(), first.tolist(), strict=True):
                if target >= 0 and self.came[target, 0] == -1:
                    self.came[target] = state, kinds[place]
                    found.append(target)
        return np.array(found, np.int64)

    def _lacked(self, state: int) -> list[int]:
        """Return the classes without a character on the way to a state."""
        found = list[int]()
        while self.came[state, 0] >= 0:
            state, kind = self.came[state].tolist()
            if not self.has[kind]:
                found.append(kind)
        return found[::-1]


def _named(given: CharacterAutomaton, kind: int) -> str:
    """Return a class by its character, or by the first of several."""
    members = np.flatnonzero(given.alphabet.of == kind)
    shown = [repr(chr(number)) for number in members[:_TOLD].tolist()]
    if len(members) == 1:
        return shown[0]
    return f"one of {', '.join(shown)}{', ...' if len(members) > _TOLD else ''}"


def needs(pattern: str, parts: Iterable[bytes]) -> str:
    """Return the words on what is missing, empty if no character is."""
    found = missing_characters(pattern, parts)
    if not found:
        return ""
    more = f" and {len(found) - 2 * _TOLD} others" if len(found) > 2 * _TOLD else ""
    return f": it needs {', '.join(found[: 2 * _TOLD])}{more}, which this model never generates"
