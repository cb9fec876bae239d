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
    lacking = _fewest(given, has[:size])
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


def _fewest(given: CharacterAutomaton, has: np.ndarray) -> list[int]:
    """Return the classes without a character on a way to the end that has the fewest of them."""
    came = np.full((len(given.table), 2), -1)  # from which state, by which class
    seen = np.zeros(len(given.table), bool)
    seen[0] = True
    reached = np.array([0])
    while True:
        around, kinds = reached, np.flatnonzero(has)
        while len(around):
            around = _led(given, around, kinds, seen, came)
            reached = np.append(reached, around)
        ends = reached[given.accept[reached]]
        if len(ends):
            return _way(came, int(ends[0]), has)
        reached = _led(given, reached, np.flatnonzero(~has), seen, came)
        if not len(reached):
            return []


def _led(
    given: CharacterAutomaton,
    states: np.ndarray,
    kinds: np.ndarray,
    seen: np.ndarray,
    came: np.ndarray,
) -> np.ndarray:
    """Return the states that some lead to by classes, unless they were seen; note the ways."""
    found = list[int]()
    for state in states.tolist():
        after = given.table[state, kinds]
        new, first = np.unique(after, return_index=True)
        for target, place in zip(new.tolist(), first.tolist(), strict=True):
            if target >= 0 and not seen[target]:
                seen[target] = True
                came[target] = state, kinds[place]
                found.append(target)
    return np.array(found, np.int64)


def _way(came: np.ndarray, state: int, has: np.ndarray) -> list[int]:
    """Return the classes without a character on the way that led to a state."""
    found = list[int]()
    while came[state, 0] >= 0:
        before, kind = came[state].tolist()
        if not has[kind]:
            found.append(kind)
        state = before
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
