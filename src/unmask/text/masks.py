"""Masks in a text: `[MASK]` is one unknown token, `[MASK:3]` three, as many as there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from unmask.errors import CanvasError, InputError

MARK = r"\[MASK(?::(?P<count>-?\d+))?\]"


def split(text: str, token: str | None) -> tuple[list[str], list[int]]:
    """Return the pieces of a text around its masks, and how many tokens each mask stands for.

    token: the tokenizer's own mask token, which is one, too. Neighbours without a text between
    them are one mask. CanvasError for a mask of no tokens.
    """
    mark = MARK if token is None else f"{MARK}|{re.escape(token)}"
    pieces, counts, end = [""], list[int](), 0
    for found in re.finditer(mark, text):
        count = int(found["count"] or 1)
        if count < 1:
            raise CanvasError(f"{found[0]}: pass [MASK] for one token or [MASK:3] for three")
        between, end = text[end : found.start()], found.end()
        pieces[-1] += between
        if counts and not pieces[-1]:
            counts[-1] += count
            continue
        counts.append(count)
        pieces.append("")
    pieces[-1] += text[end:]
    return pieces, counts


def encoded(
    encoding: Any, pieces: Sequence[str], counts: Sequence[int], mask_id: int
) -> tuple[list[int], list[bool]]:
    """Return ids, with mask_id where unknown, and the flags of these positions.

    A tokenizer reads the whole text, with its mask token in it, because spaces beside a mask may
    belong to the mask; if it has none, or if the text itself has names of special tokens, it reads
    piece by piece.
    """
    before, after = encoding.around
    token = encoding.mask_token
    ids: list[int]
    if token is not None and len(pieces) > 1:
        spread = [count * token for count in counts]
        whole = "".join(a + b for a, b in zip(pieces, [*spread, ""], strict=True))
        ids = encoding.encode(whole, special=True)
        plain = all(i == mask_id or i not in encoding.special for i in ids)
        if plain and ids.count(mask_id) == sum(counts):
            ids = [*before, *ids, *after]
            return ids, [i == mask_id for i in ids]
    ids, unknown = list(before), [False] * len(before)
    for piece, count in zip(pieces, [*counts, 0], strict=True):
        part = encoding.encode(piece)
        ids += [*part, *[mask_id] * count]
        unknown += [*[False] * len(part), *[True] * count]
    return [*ids, *after], [*unknown, *[False] * len(after)]


def lengths(candidates: str | Sequence[int]) -> list[int]:
    """Return the lengths of "1-6", "1,2,4" or a list of them."""
    try:
        if isinstance(candidates, str):
            first, dash, last = candidates.partition("-")
            parts = range(int(first), int(last) + 1) if dash else map(int, candidates.split(","))
            found = list(parts)
        else:
            found = [int(each) for each in candidates]
    except (ValueError, TypeError):
        found = []
    if not found or min(found) < 1:
        raise InputError(f"candidates={candidates!r}: pass lengths of 1 or more, such as '1-6'")
    return found
