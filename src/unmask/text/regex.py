"""Regular expressions as automata over classes of characters, by the rules of Python's `re`.

The tree that `re` parses becomes an automaton with empty moves (Thompson), whose sets of states are
the states of one without (the subset construction). Shapes: S states, K classes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from unmask.text.characters import Alphabet, Ranges, cased, matching, without

_NEW = sys.version_info >= (3, 11)
_parser: Any = import_module("re._parser" if _NEW else "sre_parse")
_names: Any = import_module("re._constants" if _NEW else "sre_constants")
_STATES = 50_000  # at most, after the subset construction
_PARTS = 10 * _STATES  # at most, before it
_WORK = 8_000_000  # moves and states that the construction looks at, at most: a few seconds
_SETS = 4096  # of characters, at most
_CELLS = 2**26  # sets of characters times places at which one of them begins or ends, at most
_HAVE_NONE = {
    "ASSERT": "look-around", "ASSERT_NOT": "look-around", "GROUPREF": "a backreference",
    "GROUPREF_EXISTS": "a backreference", "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition", "AT": "an anchor or word boundary within it",
}  # fmt: skip


class NoAutomaton(Exception):
    """An expression that has no automaton, or none of a reasonable size."""


@dataclass(frozen=True, eq=False)
class CharacterAutomaton:
    """An automaton that reads classes of characters from state 0.

    table: int32 (S,K+1), the state after a class, −1 for none, as in all of the last column.
    accept: (S,) bool.
    """

    table: np.ndarray
    accept: np.ndarray
    alphabet: Alphabet


def character_automaton(pattern: str) -> CharacterAutomaton:
    """Return the automaton of the texts that all of an expression matches.

    Raises re.error for what is no expression, NoAutomaton for what has no automaton.
    """
    parts = _Parts()
    try:
        tree = _parser.parse(pattern)
    except (OverflowError, ValueError) as error:  # of numbers of repetitions
        raise NoAutomaton(f"{error}") from error
    end = parts.sequence(tree, tree.state.flags, parts.new())
    return _determined(parts, end)


@dataclass
class _Parts:
    """An automaton with empty moves. Each state has some, or reads one character of a set."""

    empty: list[list[int]] = field(default_factory=list)  # of each state
    reads: dict[int, tuple[int, int]] = field(default_factory=dict)  # a set, and the state after
    sets: dict[Ranges, int] = field(default_factory=dict)
    seen: dict[tuple[str, int, int], int] = field(default_factory=dict)  # the set of each node

    def new(self) -> int:
        """Return a new state."""
        if len(self.empty) == _PARTS:
            raise NoAutomaton(f"it is too large: repetitions make more than {_PARTS} parts")
        self.empty.append([])
        return len(self.empty) - 1

    def sequence(self, tree: Iterable[Any], flags: int, state: int) -> int:
        """Add nodes of a tree behind a state; return the state behind them."""
        for kind, value in tree:
            state = self._node(str(kind), value, flags, state)
        return state

    def _node(self, kind: str, value: Any, flags: int, state: int) -> int:
        if kind == "SUBPATTERN":
            _, more, fewer, tree = value
            return self.sequence(tree, (flags | more) & ~fewer, state)
        if kind == "BRANCH":
            behind = self.new()
            for tree in value[1]:
                self.empty[self.sequence(tree, flags, state)].append(behind)
            return behind
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, tree = value
            return self._repeated(least, most, tree, flags, state)
        if kind in _HAVE_NONE:
            raise NoAutomaton(f"{_HAVE_NONE[kind]} has none")
        reading, behind = self.new(), self.new()
        self.empty[state].append(reading)
        self.reads[reading] = (self._set(kind, value, flags), behind)
        return behind

    def _set(self, kind: str, value: Any, flags: int) -> int:
        """Return the number of the set of a node, which may be met many times in repetitions."""
        key = (kind, value if isinstance(value, int) else id(value), flags)
        if key not in self.seen:
            if len(self.sets) == _SETS:
                raise NoAutomaton(f"it is too large: it has more than {_SETS} sets of characters")
            chars = _characters(kind, value, flags)
            self.seen[key] = self.sets.setdefault(chars, len(self.sets))
        return self.seen[key]

    def _repeated(self, least: int, most: Any, tree: Any, flags: int, state: int) -> int:
        for _ in range(least):
            before, state = state, self.sequence(tree, flags, state)
            if state == before:  # nothing, however often
                return state
        if most is _names.MAXREPEAT:
            again = self.new()
            self.empty[state].append(again)
            self.empty[self.sequence(tree, flags, again)].append(again)
            return again
        behind = self.new()
        for _ in range(most - least):
            self.empty[state].append(behind)
            before, state = state, self.sequence(tree, flags, state)
            if state == before:
                return behind
        self.empty[state].append(behind)
        return behind


def _characters(kind: str, value: Any, flags: int) -> Ranges:
    """The characters of a node that matches one."""
    items = value if kind == "IN" else [(kind, value)]
    flags &= re.IGNORECASE | re.ASCII | re.DOTALL
    if kind == "ANY":
        return matching(".", flags & re.DOTALL)
    if flags & re.IGNORECASE:
        source = f"[{''.join(map(_source, items))}]"
        return _folded(_characters(kind, value, flags & ~re.IGNORECASE), source, flags & ~re.DOTALL)
    found, negated = list[tuple[int, int]](), False
    for name, given in ((str(name), given) for name, given in items):
        negated |= name in ("NEGATE", "NOT_LITERAL")
        if name in ("LITERAL", "NOT_LITERAL"):
            found.append((given, given))
        elif name == "RANGE":
            found.append(given)
        elif name == "CATEGORY":
            found += matching(_source((name, given)), flags & re.ASCII)
    return without(found) if negated else without(without(found))


def _folded(exact: Ranges, source: str, flags: int) -> Ranges:
    """A set without regard to case. exact: with it, which decides of characters without a case."""
    characters, ranges = cased()
    matched = map(ord, re.findall(source, characters, flags))
    others = without([*without(exact), *ranges])
    return without(without([*others, *((each, each) for each in matched)]))


def _source(item: tuple[Any, Any]) -> str:
    """An item of a set as it is written in one."""
    name, given = str(item[0]), item[1]
    if name == "NEGATE":
        return "^"
    if name == "CATEGORY":
        letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[str(given).rsplit("_", 1)[1]]
        return f"\\{letter.upper() if '_NOT_' in str(given) else letter}"
    if name == "RANGE":
        return "-".join(f"\\U{each:08x}" for each in given)
    return f"{'^' if name == 'NOT_LITERAL' else ''}\\U{given:08x}"


@dataclass
class _Closures:
    """The states that read, or end, which others lead to by empty moves."""

    parts: _Parts
    end: int
    work: int = 0
    known: dict[int, frozenset[int]] = field(default_factory=dict)

    def spend(self, work: int) -> None:
        """Count work. Raises NoAutomaton once it is too much."""
        self.work += work
        if self.work > _WORK:
            raise NoAutomaton("it is too large: its automaton takes too long to be made")

    def of(self, states: Iterable[int]) -> frozenset[int]:
        """Return those of several states."""
        every = [self.known.get(each) or self.reached(each) for each in states]
        found = every[0].union(*every[1:])
        self.spend(len(found))
        return found

    def reached(self, state: int) -> frozenset[int]:
        """Return those of a state."""
        seen, waiting = {state}, [state]
        while waiting:
            new = {*self.parts.empty[waiting.pop()]} - seen
            seen |= new
            waiting += new
            self.spend(len(new))
        found = frozenset(each for each in seen if each in self.parts.reads or each == self.end)
        self.known[state] = found
        return found


def _determined(parts: _Parts, end: int) -> CharacterAutomaton:
    """The automaton without empty moves, and without states that lead to no text."""
    if len(parts.sets) * 2 * sum(map(len, parts.sets)) > _CELLS:
        raise NoAutomaton(f"it is too large: it has {len(parts.sets)} sets of characters")
    alphabet = Alphabet.dividing([*parts.sets])
    closures = _Closures(parts, end)
    sets, rows = [closures.of([0])], list[list[int]]()
    number = {sets[0]: 0}
    for states in sets:  # which grows
        row, behind = [-1] * (alphabet.size + 1), dict[int, list[int]]()
        for state in sorted(states - {end}):
            chars, after = parts.reads[state]
            closures.spend(len(alphabet.members[chars]))
            for each in alphabet.members[chars]:
                behind.setdefault(each, []).append(after)
        known: dict[tuple[int, ...], int] = {}
        for each, after_it in behind.items():
            key = tuple(after_it)
            if key not in known:
                found = closures.of(key)
                known[key] = number.setdefault(found, len(number))
                if known[key] == len(sets):
                    sets.append(found)
            row[each] = known[key]
        if len(sets) > _STATES:
            raise NoAutomaton(f"it is too large: its automaton has more than {_STATES} states")
        rows.append(row)
    accept = np.array([end in states for states in sets])
    return _trimmed(CharacterAutomaton(np.array(rows, np.int32), accept, alphabet))


def _trimmed(given: CharacterAutomaton) -> CharacterAutomaton:
    """The automaton with no moves to states from which no text ends."""
    state, column = (given.table >= 0).nonzero()
    pairs = np.unique(np.stack([given.table[state, column], state], 1), axis=0)
    begins = np.searchsorted(pairs[:, 0], np.arange(len(given.table) + 1))
    useful, waiting = given.accept.copy(), np.flatnonzero(given.accept).tolist()
    while waiting:
        here = waiting.pop()
        before = pairs[begins[here] : begins[here + 1], 1]
        new = before[~useful[before]]
        useful[new] = True
        waiting += new.tolist()
    if not useful[0]:
        raise NoAutomaton("no text matches it")
    table = np.where((given.table >= 0) & useful[given.table], given.table, -1)
    return CharacterAutomaton(table, given.accept, given.alphabet)
