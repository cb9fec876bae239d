"""Masks in a text: `[MASK]` is one unknown token, `[MASK:3]` three, as many as there are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unmask.core.checks import is_integer
from unmask.errors import CanvasError, InputError
from unmask.text.encoding import Encoding

Parts = tuple[list[str], list[int]]
"""The pieces of a text around its masks, and how many tokens each mask stands for."""
Flagged = tuple[list[int], list[bool]]
"""Ids, and which of them are unknown."""

MOST, DIGITS = 2**20, 12
"""Positions of masks where the network says no number, and digits of one in a mark."""
MARK = r"\[MASK(?::(?P<count>[^\[\]]*))?\]"


def split(text: str, token: str | None, most: int = 10**DIGITS) -> Parts:
    """Return the pieces of a text around its masks, and how many tokens each mask stands for.

    token: the tokenizer's own mask token, which is one, too. Neighbours without a text between
    them are one mask. CanvasError for a mask of no tokens, or of more than `most`.
    """
    mark = MARK if token is None else f"{MARK}|{re.escape(token)}"
    pieces, counts, end = [""], list[int](), 0
    for found in re.finditer(mark, text):
        number = "1" if found["count"] is None else found["count"]
        count = int(number) if number.isdecimal() and len(number) < DIGITS else 0
        if not 1 <= count <= most:
            raise CanvasError(
                f"{found[0]} names no number of positions: write [MASK] for one, or [MASK:12] for "
                f"twelve, at most {most:,}"
            )
        between, end = text[end : found.start()], found.end()
        pieces[-1] += between
        if counts and not pieces[-1]:
            counts[-1] += count
            continue
        counts.append(count)
        pieces.append("")
    pieces[-1] += text[end:]
    return pieces, counts


def encoded(encoding: Encoding, texts: Sequence[Parts], mask_id: int) -> list[Flagged]:
    """Return for each text its ids, with mask_id where unknown, and the flags of these positions.

    A tokenizer reads the whole text, with its mask token in it, because spaces beside a mask may
    belong to the mask; if it has none, or if the text itself has names of special tokens, it reads
    piece by piece.
    """
    token = encoding.mask_token
    if token is None:
        return [_by_piece(encoding, *parts, mask_id) for parts in texts]
    wholes = encoding.encode_all([_joined(*parts, token) for parts in texts], special=True)
    other, (before, after) = encoding.special - {mask_id}, encoding.around
    found = []
    for (pieces, counts), ids in zip(texts, wholes, strict=True):
        if other.isdisjoint(ids) and ids.count(mask_id) == sum(counts):
            whole = [*before, *ids, *after]
            found.append((whole, [i == mask_id for i in whole]))
        else:
            found.append(_by_piece(encoding, pieces, counts, mask_id))
    return found


def _joined(pieces: Sequence[str], counts: Sequence[int], token: str) -> str:
    return "".join(a + count * token for a, count in zip(pieces, [*counts, 0], strict=True))


def _by_piece(
    encoding: Encoding, pieces: Sequence[str], counts: Sequence[int], mask_id: int
) -> Flagged:
    before, after = encoding.around
    ids, unknown = list(before), [False] * len(before)
    parts = encoding.encode_all(pieces)
    for part, count in zip(parts, [*counts, 0], strict=True):
        ids += [*part, *[mask_id] * count]
        unknown += [*[False] * len(part), *[True] * count]
    return [*ids, *after], [*unknown, *[False] * len(after)]


def lengths(candidates: str | Sequence[int], most: int | None = None) -> list[int]:
    """Return the lengths of "1-6", "1,2,4" or a list of them, each once.

    most: positions of the network. Raises InputError for what are no lengths, CanvasError for a
    length that is longer, and for more than `MOST` positions together.
    """
    found: Sequence[int] = ()
    try:
        if isinstance(candidates, str):
            first, dash, last = candidates.partition("-")
            listed = range(int(first), int(last) + 1) if dash else map(int, candidates.split(","))
            found = listed if isinstance(listed, range) else list(listed)
        elif all(is_integer(each, 1) for each in candidates[:MOST]):
            found = candidates if isinstance(candidates, range) else list(map(int, candidates))
    except (ValueError, TypeError):
        pass
    if not found or found[0] < 1 or min(found[:MOST]) < 1:
        raise InputError(f"candidates={candidates!r}: pass lengths of 1 or more, such as '1-6'")
    longest = max(found[-1], *found[:MOST])
    if most is not None and longest > most:
        raise CanvasError(
            f"candidates={candidates!r} has a length of {longest:,}, and the network {most} "
            f"positions: pass lengths up to {most}"
        )
    if len(found) > MOST or sum(found) > MOST:
        raise CanvasError(
            f"candidates={candidates!r} has {len(found):,} lengths of up to {longest:,}: pass "
            f"fewer or shorter ones, of {MOST:,} positions together"
        )
    return list(dict.fromkeys(found))
