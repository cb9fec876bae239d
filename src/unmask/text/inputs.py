"""What a text model is called with, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unmask.errors import InputError


def text_of(name: str, given: Any) -> str:
    """Return a text. Raises InputError for anything else, and for half a character."""
    if not isinstance(given, str):
        raise InputError(f"{name} is a {type(given).__name__}: pass a text")
    for place, character in enumerate(given):
        if "\ud800" <= character <= "\udfff":
            raise InputError(
                f"{name} has half a character (a surrogate) at position {place}: pass all of it"
            )
    return given


def texts_of(name: str, given: Any) -> list[str]:
    """Return the text, or the texts, as a list. Raises InputError as `text_of` does."""
    if isinstance(given, str):
        return [text_of(name, given)]
    if isinstance(given, bytes | Mapping) or not isinstance(given, Sequence):
        raise InputError(f"{name} is a {type(given).__name__}: pass a text, or a list of texts")
    return [text_of(f"{name}[{nth}]", each) for nth, each in enumerate(given)]


def messages_of(given: Any) -> list[dict[str, str]]:
    """Return the messages of a talk. Raises InputError for anything else, such as images."""
    listed = [] if isinstance(given, str | Mapping) or not isinstance(given, Sequence) else given
    parts = ("role", "content")
    for nth, each in enumerate(listed):
        content = each.get("content") if isinstance(each, Mapping) else None
        if isinstance(content, list | tuple):
            kinds = [str(part.get("type")) for part in content if isinstance(part, Mapping)]
            raise InputError(
                f"messages[{nth}] has content in parts ({', '.join(kinds) or 'of no type'}), and "
                "images and other media are not read: pass its text alone, a string"
            )
    if not listed or not all(
        isinstance(each, Mapping) and all(isinstance(each.get(part), str) for part in parts)
        for each in listed
    ):
        raise InputError(
            f"messages={given!r:.200}: pass a list such as [{{'role': 'user', 'content': 'Hello'}}]"
        )
    for nth, each in enumerate(listed):
        text_of(f"messages[{nth}]", each["content"])
    return [dict(each) for each in listed]
