"""The bytes that each id of a tokenizer writes, found by its words and checked by decoding them.

Shapes: V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from unmask.data.pieces import BROKEN, BYTE, byte_of
from unmask.errors import ModelError
from unmask.text.encoding import ByteEncoding, Encoding, TokenizerEncoding

Spelled = tuple[bytes | None, ...]
"""Bytes of each id; None for an id that is no text. None but the first of a text writes nothing."""

_TOGETHER = 32  # ids that are decoded at once to check them
_TRIED = 64  # ids, of the first and of the last ones, that show how a text begins
_SHARE = 0.5  # of the ids must have bytes of their own


@dataclass(frozen=True)
class Spelling:
    """The bytes of each id, behind another one (`inside`) and at the beginning of a text."""

    inside: Spelled
    first: Spelled


@lru_cache(maxsize=8)
def spelling_of(encoding: Encoding) -> Spelling:
    """Return the bytes of the ids of a tokenizer, None for special ones.

    Raises ModelError for a tokenizer of which most ids have none that are theirs alone.
    """
    ordinary = [i for i in range(encoding.size) if i not in encoding.special]
    if isinstance(encoding, ByteEncoding):
        inside = tuple(bytes([i]) if i < 256 else None for i in range(encoding.size))
        return Spelling(inside, inside)
    ways: list[Callable[[], dict[int, bytes]]] = []
    if isinstance(encoding, TokenizerEncoding):
        words = dict(enumerate(encoding.backend.convert_ids_to_tokens([*range(encoding.size)])))
        words = {i: words[i] for i in ordinary if words[i] is not None}
        ways += [lambda: _of_alphabet(words), lambda: _of_pieces(words)]
    ways.append(lambda: _by_decoding(encoding, ordinary))
    for way in ways:
        found = way()
        kept = {i: text for i, text in found.items() if text}
        kept = _checked(encoding, kept) if len(kept) >= _SHARE * len(ordinary) else {}
        if kept and len(kept) >= _SHARE * len(ordinary):
            inside = tuple(kept.get(i) for i in range(encoding.size))
            return Spelling(inside, _at_first(encoding, inside, each=way is ways[-1]))
    raise ModelError(
        "structured output needs a tokenizer of which each id writes the same text wherever it "
        "stands, and most ids of this one do not: use another model, or check the text yourself"
    )


def _of_alphabet(words: dict[int, str]) -> dict[int, bytes]:
    """Each letter of a word is a byte."""
    letters = byte_of()
    if not any(letter in word for word in words.values() for letter in ("Ġ", "Ċ")):
        return {}
    return {
        i: bytes(letters[c] for c in word) if all(c in letters for c in word) else word.encode()
        for i, word in words.items()
    }


def _of_pieces(words: dict[int, str]) -> dict[int, bytes]:
    """SentencePiece's: ▁ is a space, <0xNN> a byte."""
    if not any("▁" in word or BYTE.fullmatch(word) for word in words.values()):
        return {}
    found = {}
    for i, word in words.items():
        byte = BYTE.fullmatch(word)
        found[i] = bytes.fromhex(byte[1]) if byte else word.replace("▁", " ").encode()
    return found


def _by_decoding(encoding: Encoding, ordinary: Sequence[int]) -> dict[int, bytes]:
    """What an id adds to the text of another one before it."""
    before = next((i for i in ordinary if encoding.decode([i]).isalnum()), None)
    if before is None:
        return {}
    head, found = encoding.decode([before]), {}
    for i in ordinary:
        whole = encoding.decode([before, i])
        if whole.startswith(head) and BROKEN not in whole:
            found[i] = whole[len(head) :].encode()
    return found


def _is_whole(text: bytes) -> bool:
    """Whether bytes are whole characters."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _checked(encoding: Encoding, found: dict[int, bytes]) -> dict[int, bytes]:
    """Those of the ids that decode to these bytes, in two orders of all of them.

    Bytes of a part of a character are trusted if characters that are put together of them decode.
    """
    whole = [i for i, text in found.items() if _is_whole(text)]
    anchor = next((i for i in whole if found[i].isalnum()), None)
    if anchor is None:
        return {}
    shuffled = random.Random(0).sample(whole, len(whole))
    wrong = set[int]()
    for order in (whole, shuffled):
        for begin in range(0, len(order), _TOGETHER):
            part = [i for i in order[begin : begin + _TOGETHER] if i not in wrong]
            if _decodes(encoding, found, anchor, part):
                continue
            wrong |= {i for i in part if not _decodes(encoding, found, anchor, [i])}
            if not _decodes(encoding, found, anchor, [i for i in part if i not in wrong]):
                return {}  # what an id writes depends on its neighbours
    if not _joins(encoding, found):
        wrong |= found.keys() - set(whole)
    return {i: text for i, text in found.items() if i not in wrong}


def _decodes(encoding: Encoding, found: dict[int, bytes], anchor: int, ids: list[int]) -> bool:
    ids = [i for i in ids for _ in range(2)]  # some decoders drop an id that stands twice
    text = b"".join(found[i] for i in ids).decode()
    head = encoding.decode([anchor])
    return encoding.decode([anchor, *ids, anchor]) == head + text + found[anchor].decode()


def _joins(encoding: Encoding, found: dict[int, bytes]) -> bool:
    """Whether characters that are put together byte by byte are decoded."""
    single = {text: i for i, text in found.items() if len(text) == 1}
    for character in "éß日本🙂":
        parts = [single.get(bytes([byte])) for byte in character.encode()]
        ids = [i for i in parts if i is not None]
        if len(ids) == len(parts) and encoding.decode(ids) != character:
            return False
    return True


def _at_first(encoding: Encoding, inside: Spelled, each: bool) -> Spelled:
    """The bytes of ids at the beginning of a text, where some decoders drop spaces.

    each: every id is decoded there, as of words that are joined by spaces; if not, those that begin
    with a space, as far as some of them show that they differ in what they drop.
    """
    if each:
        alone = [None if text is None else encoding.decode([i]) for i, text in enumerate(inside)]
        return tuple(None if not text or BROKEN in text else text.encode() for text in alone)
    spaced = [i for i, t in enumerate(inside) if t and t.startswith(b" ") and _is_whole(t)]
    tried = {*spaced[:_TRIED], *spaced[-_TRIED:]}
    dropped = {(inside[i] or b"").decode().removesuffix(encoding.decode([i])) for i in tried}
    if dropped <= {""}:
        return inside
    if dropped == {" "}:
        return tuple(text[1:] if text and text.startswith(b" ") else text for text in inside)
    begun = {i: encoding.decode([i]).encode() for i in spaced}
    return tuple(begun.get(i, text) for i, text in enumerate(inside))
