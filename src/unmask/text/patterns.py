"""Regular expressions as automata over bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from unmask.core.recent import recent
from unmask.errors import InputError
from unmask.text.byte_automaton import ByteAutomaton
from unmask.text.inputs import text_of
from unmask.text.regex import NoAutomaton, character_automaton

_FLAGS = re.compile(r"\(\?([a-z]+)\)")
_END = re.compile(r"(?s)(.*?(?<!\\)(?:\\\\)*)(?:\$|\\Z)")


def check_regex(name: str, pattern: Any) -> str:
    """Return a regular expression, as it may stand within another.

    Anchors at its ends are left out, for all of a text must match, and its flags are its own.
    Raises InputError, with the place, for what is none.
    """
    if not isinstance(pattern, str):
        raise InputError(f"{name} is a {type(pattern).__name__}: pass a text, such as '[0-9]+'")
    try:
        re.compile(text_of(name, pattern))
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos}"
        raise InputError(
            f"{name}={pattern!r:.200} is no regular expression: {error.msg}{place}"
        ) from error
    except (OverflowError, ValueError) as error:  # of numbers of repetitions
        raise InputError(f"{name}={pattern!r:.200} is no regular expression: {error}") from error
    flags = _FLAGS.match(pattern)
    inner = pattern[flags.end() :] if flags else pattern
    inner = inner.removeprefix("\\A").removeprefix("^")
    if ended := _END.fullmatch(inner):
        inner = ended[1]
    line = "\n" if flags and "x" in flags[1] else ""  # which ends a comment
    return f"(?{flags[1]}:{inner}{line})" if flags else inner


def any_of(texts: Sequence[str]) -> str:
    """Return the regular expression of these texts."""
    return "|".join(map(re.escape, texts))


def byte_automaton(pattern: str, name: str = "regex") -> ByteAutomaton:
    """Return the automaton of the texts that all of a regular expression matches.

    Raises InputError for what has no automaton.
    """
    try:
        return _byte_automaton(pattern)
    except NoAutomaton as error:
        raise InputError(f"{name}={pattern!r:.200} has no automaton: {error}") from error


@recent(2**28, size=lambda made: made.table.nbytes)
def _byte_automaton(pattern: str) -> ByteAutomaton:
    return ByteAutomaton.of(character_automaton(pattern))
