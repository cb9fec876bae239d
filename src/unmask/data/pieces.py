"""The text of single ids, of which the texts of many are made, as pictures show them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from unmask.data.tokenizer import Tokenizer

BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # the name of a byte that is a token, as SentencePiece has
_PRINTED = (*range(33, 127), *range(161, 173), *range(174, 256))  # bytes that stand for themselves
BROKEN = "\ufffd"  # stands in a text for bytes that are no character


def of_bytes(count: int) -> tuple[str, ...]:
    """Return the piece of each byte, and none for further ids up to `count`.

    A byte that is no character alone is Python's surrogate escape.
    """
    return tuple(_escaped(bytes([i])) if i < 256 else "" for i in range(count))


def of_tokens(tokenizer: Tokenizer, ids: Iterable[int]) -> tuple[str, ...]:
    """Return the piece of each id from 0 to the highest of `ids`; those not among them are empty.

    A piece is what an id adds to a text, with the space that comes before; bytes of a character
    that other ids complete are surrogate escapes. Special tokens are empty.
    """
    asked = {*ids}
    made = {i: _piece(tokenizer, i) for i in asked - {*tokenizer.specials}}
    return tuple(made.get(i, "") for i in range(1 + max(asked, default=0)))


@lru_cache(maxsize=4)
def _before(tokenizer: Tokenizer) -> list[int]:
    """Return the id of a word that others may stand behind, so that a space between is seen."""
    special = {*tokenizer.specials}
    words = sorted((word, i) for word, i in tokenizer.backend.get_vocab().items())
    return next(([i] for word, i in words if word.isalpha() and i not in special), [])


@lru_cache(maxsize=1 << 18)
def _piece(tokenizer: Tokenizer, number: int) -> str:
    before = _before(tokenizer)
    head, whole = tokenizer.decode(before), tokenizer.decode([*before, number])
    found = whole[len(head) :] if whole.startswith(head) else tokenizer.decode([number])
    if BROKEN not in found:
        return found
    word = str(tokenizer.backend.convert_ids_to_tokens(number))
    byte = BYTE.fullmatch(word)
    if byte:
        return _escaped(bytes([int(byte[1], 16)]))
    known = byte_of()
    return _escaped(bytes(known[c] for c in word)) if {*word} <= known.keys() else found


def _escaped(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=1)
def byte_of() -> dict[str, int]:
    """Return the byte of each character of byte-level vocabularies, as GPT-2's."""
    rest = [byte for byte in range(256) if byte not in _PRINTED]
    pairs = {chr(byte): byte for byte in _PRINTED}
    return pairs | {chr(256 + n): byte for n, byte in enumerate(rest)}
