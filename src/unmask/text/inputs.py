"""What a text model is called with, checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from unmask.core.checks import is_integer
from unmask.decoding.inputs import check_strategy
from unmask.errors import ArgumentError, InputError, ModelError
from unmask.text.encoding import Encoding


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


def check_words(encoding: Encoding, name: str, ids: Sequence[int], pieces: Sequence[str]) -> None:
    """Raise InputError for a word that has no token, of which a result would not know.

    ids: of the text. pieces: what it was made of. The name of the unknown token may stand in it.
    """
    if encoding.unknown_id is None or encoding.unknown_id not in ids:
        return
    for word in filter(None, map(encoding.unknown, pieces)):
        raise InputError(
            f"{name}: the tokenizer has no token for {word!r}: use other words, or write the name "
            "of its token for unknown words"
        )


def keywords(function: Callable[..., Any], *without: str) -> list[str]:
    """Return the names of a function's keyword-only parameters, but for some."""
    known = inspect.signature(function).parameters.items()
    return [name for name, each in known if each.kind is each.KEYWORD_ONLY and name not in without]


def check_options(function: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise ArgumentError for a name among options that is not known."""
    for name in options:
        if name not in known:
            raise ArgumentError.unknown(function, name, known, known)


def stops_of(given: Any) -> list[str]:
    """Return stop strings as a list. Raises InputError as `texts_of`, and for an empty one."""
    found = texts_of("stop", given)
    if "" in found:
        raise InputError("stop has an empty text, which is everywhere: pass the text of an end")
    return found


def span_of(text: Any, span: Any) -> tuple[int, int]:
    """Return the first and last character of a part of a text. Raises InputError for no part."""
    text_of("text", text)
    if isinstance(span, str):
        begin = text.find(span)
        if begin < 0 or not span:
            raise InputError(f"span={span!r} is not in the text: pass a part of it")
        return begin, begin + len(span)
    two = isinstance(span, list | tuple) and len(span) == 2 and all(map(is_integer, span))
    if not two:
        raise InputError(f"span={span!r}: pass a part of the text, or a pair such as (0, 3)")
    if not 0 <= span[0] < span[1] <= len(text):
        raise InputError(f"span={span!r} of a text of {len(text)} characters: pass a part of it")
    return span[0], span[1]


def check_parts(encoding: Any, strategy: Any, end_ids: Sequence[int], size: int) -> None:
    """Raise ModelError or StrategyError for parts that make no text model of `size` ids."""
    if not isinstance(encoding, Encoding):
        raise ModelError(
            f"encoding={encoding!r:.80}: pass a TokenizerEncoding, or open both by TextModel.load"
        )
    check_size("encoding", encoding.size, size)
    for each in end_ids:
        if not is_integer(each, 0) or each >= size:
            raise ModelError(f"end_ids has {each!r}: pass ids from 0 to {size - 1}")
    if strategy is not None:
        check_strategy(strategy)


def check_size(what: str, size: int, vocab_size: int) -> None:
    """Raise ModelError for a tokenizer of `size` ids that is not of a network of `vocab_size`.

    A network may have more ids than its tokenizer, but not twice as many.
    """
    if size > vocab_size or 2 * size < vocab_size:
        raise ModelError(
            f"{what} has ids up to {size - 1}, and the network {vocab_size} ids: it is of another "
            "model; pass the one that the network was trained with"
        )


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
