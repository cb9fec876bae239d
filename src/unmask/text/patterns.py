"""Regular expressions as automata over bytes, by outlines-core.

Shapes: S states; 256 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from unmask.core.optional import library
from unmask.errors import InputError
from unmask.text.byte_automaton import ByteAutomaton, expanded

_BYTES = 256
_STAND_IN = 1  # the byte in place of a part of an expression
# A character that is none (of Unicode's noncharacters). outlines-core's automata prefer the first
# alternative, so that `a|ab` would not have "ab"; they have it where this must follow.
_END = "\U0010ffff"


def check_regex(name: str, pattern: Any) -> str:
    """Return a regular expression. Raises InputError, with the place, for what is none."""
    if not isinstance(pattern, str):
        raise InputError(f"{name} is a {type(pattern).__name__}: pass a text, such as '[0-9]+'")
    try:
        re.compile(pattern)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos}"
        raise InputError(
            f"{name}={pattern!r} is no regular expression: {error.msg}{place}"
        ) from error
    return pattern


def any_of(texts: Sequence[str]) -> str:
    """Return the regular expression of these texts."""
    return "|".join(escaped(text) for text in texts)


def escaped(text: str) -> str:
    """Return the regular expression of a text, by the rules of Python and of Rust alike."""
    return "".join(f"\\{c}" if c in "\\.+*?()|[]{}^$#&-~" else c for c in text)


@lru_cache(maxsize=128)
def byte_automaton(
    pattern: str, name: str = "regex", character: str | None = None
) -> ByteAutomaton:
    """Return the automaton of the texts that all of a regular expression matches.

    character: a part of it, in brackets, that stands for one of many characters, where no other
    part allows the character 1. Repeated hundreds of times, it would take outlines-core minutes.
    Raises InputError for what has no automaton, MissingExtraError without outlines-core.
    """
    if character is not None and character in pattern:
        outer = byte_automaton(pattern.replace(character, f"\\x{_STAND_IN:02x}"), name)
        return expanded(outer, byte_automaton(character), _STAND_IN)
    core = library("outlines_core", "structured", "structured output needs outlines-core")
    vocabulary = core.Vocabulary(_BYTES, {bytes([each]): [each] for each in range(_BYTES)})
    try:
        index = core.Index(f"(?:{pattern}){_END}", vocabulary)
    except ValueError as error:
        raise InputError(
            f"{name}={pattern!r} has no automaton: {_reason(error)}. Look-around, backreferences, "
            r"\b and anchors have none; leave out ^ and $, for all of the text must match"
        ) from error
    return _trimmed(index)


def _reason(error: ValueError) -> str:
    """What outlines-core says, without its hints about vocabularies."""
    said = str(error)
    return "parts of it never match" if "vocabulary provided" in said else said


def _trimmed(index: Any) -> ByteAutomaton:
    """The automaton of an index, with the states alone that lie on the way of some text."""
    given, end = index.get_transitions(), _END.encode()
    first, final = index.get_initial_state(), set(index.get_final_states())
    accept = {state for state in given if _walked(given, state, end) in final}
    back: dict[int, set[int]] = {}
    for state, moves in given.items():
        for byte, after in moves.items():
            if byte < _BYTES:
                back.setdefault(after, set()).add(state)
    useful, waiting = set(accept), list(accept)
    while waiting:
        new = back.get(waiting.pop(), set()) - useful
        useful |= new
        waiting += new
    number = {state: i for i, state in enumerate(sorted({first, *useful}))}
    table = np.full((len(number), _BYTES), -1, np.int32)
    for state in useful:
        for byte, after in given.get(state, {}).items():
            if byte < _BYTES and after in useful:
                table[number[state], byte] = number[after]
    flags = np.zeros(len(number), bool)
    flags[[number[state] for state in accept]] = True
    return ByteAutomaton(table, flags, number[first])


def _walked(transitions: dict[int, dict[int, int]], state: int | None, text: bytes) -> int | None:
    for byte in text:
        state = None if state is None else transitions.get(state, {}).get(byte)
    return state
