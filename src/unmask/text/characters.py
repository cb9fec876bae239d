"""Sets of characters as Python's `re` has them, and classes of those that all sets treat alike.

Shapes: K classes; 0x110000 characters, by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CHARACTERS = 0x110000
_SURROGATES = (0xD800, 0xDFFF)  # halves of characters, of which texts have none

Ranges = tuple[tuple[int, int], ...]
"""The first and the last character of each run of a set."""


@lru_cache(maxsize=256)
def matching(source: str, flags: int) -> Ranges:
    """Return the characters that an expression of one character, such as \\w, matches."""
    numbers = np.arange(CHARACTERS, dtype="<u4").tobytes()
    every = numbers.decode("utf-32-le", "surrogatepass")
    found = re.finditer(f"{source}+", every, flags)
    return tuple((run.start(), run.end() - 1) for run in found)


@lru_cache(maxsize=1)
def cased() -> tuple[str, Ranges]:
    """Return the characters that may match another one without regard to case."""
    every = (chr(number) for number in range(CHARACTERS))
    found = [c for c in every if c.lower() != c or c.upper() != c or c.casefold() != c]
    return "".join(found), without(without((ord(c), ord(c)) for c in found))


def without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return all characters but these."""
    found, begin = list[tuple[int, int]](), 0
    for first, last in sorted(ranges):
        if first > begin:
            found.append((begin, first - 1))
        begin = max(begin, last + 1)
    return (*found, (begin, CHARACTERS - 1)) if begin < CHARACTERS else tuple(found)


@dataclass(frozen=True)
class Alphabet:
    """Classes of characters. of: int32, the class of each character, K for half a character.

    members: the classes that make up each set. size: K.
    """

    of: np.ndarray
    members: list[list[int]]
    size: int

    @classmethod
    def dividing(cls, sets: Sequence[Ranges]) -> Alphabet:
        """Return the fewest classes that make up all of the sets."""
        cuts = {0, CHARACTERS, _SURROGATES[0], _SURROGATES[1] + 1}
        cuts |= {cut for each in sets for first, last in each for cut in (first, last + 1)}
        edges = np.array(sorted(cuts))
        inside = np.zeros((len(sets), len(edges) - 1), bool)
        for nth, each in enumerate(sets):
            for first, last in each:
                inside[nth, np.searchsorted(edges, first) : np.searchsorted(edges, last + 1)] = True
        columns, of_run = np.unique(inside, axis=1, return_inverse=True)
        of = np.repeat(of_run.ravel(), np.diff(edges)).astype(np.int32)
        of[_SURROGATES[0] : _SURROGATES[1] + 1] = columns.shape[1]
        members = [np.flatnonzero(row).tolist() for row in columns]
        return cls(of, members, columns.shape[1])
