"""Rows of ids from the columns of tables, with their prompts and classes, without their padding.

R rows of a block, T values of all its rows, n positions of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from unmask.data.blocks import Block, Table
from unmask.data.rows import IDS, MASK, Source, StoredPart, StoredRows, covered, packed
from unmask.data.talks import columns_of
from unmask.data.text import encode_text
from unmask.data.tokenizer import Tokenizer
from unmask.data.trimming import check_flags, cut_by_mask
from unmask.data.values import holds_text, integers, listed, ragged, strings
from unmask.errors import DataError, nearest

TEXT = "text"
LABELS, PROMPT = "labels", "prompt"
LEARNT = ("completion_mask", "assistant_masks", "loss_mask")  # 1 at tokens to learn
CATEGORY = ("class", "label")
IGNORED = -100  # the label of positions of the prompt, as in transformers


def rows_of(table: Table, column: str | None, tokenizer: Tokenizer | None) -> Source:
    """Read a table. Raises DataError for an unknown column, and values of a wrong kind."""
    name, text = _choose(table, column), None
    names = dict.fromkeys(table.names)
    parts, empty = [], 0
    for block in table.blocks([name, *_beside(names, name)]):
        if text is None:  # all blocks must be of the kind of the first
            text = holds_text(block.columns.get(name))
        part = _text_part(block, name, tokenizer) if text else _ids_part(block, name)
        parts.append(part)
        names |= dict.fromkeys(block.columns)  # lines of JSON may have different ones
        empty += len(block.numbers) - len(part)
    beside = _beside(names, name, bool(text))
    return Source(
        StoredRows(parts),
        text=bool(text),
        beside=tuple(each for each in beside if each != MASK),
        masked=MASK in beside,
        unread=tuple(each for each in names if each not in (name, *beside)),
        empty=empty,
    )


def _choose(table: Table, column: str | None) -> str:
    if column is not None and column not in table.names:
        raise DataError(f"{table.path} has no column {column!r}: {nearest(column, table.names)}")
    known = [name for name in (column, *IDS, TEXT) if name in table.names]
    if not known:
        if talks := columns_of(table, None):
            raise DataError(
                f"{table.path} has talks, in {' and '.join(map(repr, talks))}, which become ids by "
                "a model's own tokenizer: train that model further, as in unmask train --from "
                "MODEL, or name another column, column='text'"
            )
        raise DataError(
            f"{table.path} has no column {', '.join(IDS)} or {TEXT}, but "
            f"{', '.join(table.names) or 'none at all'}: name the one to read, "
            f"column={(table.names or ('ids',))[0]!r}"
        )
    return known[0]


def _beside(names: Collection[str], main: str, text: bool = False) -> tuple[str, ...]:
    """Return the columns that say something of the rows of the main one."""
    category = [name for name in CATEGORY if name in names and name != main][:1]
    wanted = (*(() if text else (LABELS, *LEARNT, MASK)), PROMPT, *category)
    return tuple(name for name in wanted if name in names and name != main)


def _ids_part(block: Block, name: str) -> StoredPart:
    """Return rows of ids, with prompts by their labels."""
    part = whole = ragged(*block.column(name))
    whole.check(whole.lengths == 0, lambda _: "a row without ids; leave it out")

    def flags(column: str) -> StoredPart:
        return check_flags(ragged(*block.column(column), flags=True), whole)

    here = _beside(block.columns, name)
    if MASK in here:
        part = cut_by_mask(whole, flags(MASK))
    if LABELS in here:
        part = _with_labels(part, ragged(*block.column(LABELS)), whole)
    for column in (each for each in LEARNT if each in here):
        part = _with_given(part, flags(column).values == 0, lambda _: "all flags are 0")
    if PROMPT in here:
        part = _with_prompts(part, integers(*block.column(PROMPT), none=0))
    return _with_categories(part, block, here)


def _text_part(block: Block, name: str, tokenizer: Tokenizer | None) -> StoredPart:
    """Return rows of text as ids, preceded by their prompt if it is text, too."""
    (_, numbers, place), here = block.column(name), _beside(block.columns, name, text=True)
    if LABELS in _beside(block.columns, name):
        raise DataError(
            f"{place.file}: column {LABELS!r} belongs to ids, and column {name!r} holds text; "
            f"mark what is given in a column {PROMPT!r}"
        )

    def encoded(column: str, none: str | None = None) -> list[np.ndarray]:
        texts = strings(*block.column(column), none=none)
        return encode_text(texts, numbers, block.column(column)[2], tokenizer)

    rows, counts = encoded(name), None
    keep = np.array([len(row) > 0 for row in rows], dtype=bool)
    if PROMPT in here and holds_text(block.columns[PROMPT]):
        heads = encoded(PROMPT, none="")
        counts = np.array([len(head) for head in heads])
        rows = [np.concatenate(pair) for pair in zip(heads, rows, strict=True)]
    elif PROMPT in here:
        counts = integers(*block.column(PROMPT), none=0)
    part = _with_categories(packed(rows, numbers, place), block, here).select(keep)
    return part if counts is None else _with_prompts(part, counts[keep])


def _with_labels(part: StoredPart, labels: StoredPart, whole: StoredPart) -> StoredPart:
    """Mark positions by labels, one for each value of the whole rows, padding included."""
    labels.check(
        whole.lengths != labels.lengths,
        lambda row: (
            f"{labels.lengths[row]} labels of {whole.lengths[row]} tokens; give one label "
            f"a token, {IGNORED} at the prompt"
        ),
    )
    given = labels.values == IGNORED  # neither has gaps but at padding
    inside = covered(part.starts, part.starts + part.lengths, len(given))
    for position in np.flatnonzero(inside & ~given & (labels.values != part.values))[:1]:
        raise DataError(
            f"{labels.describe(int(position))}: label {labels.values[position]} of token "
            f"{part.values[position]}; a label repeats the token, or is {IGNORED} at the prompt"
        )
    return _with_given(part, given, lambda _: f"all labels are {IGNORED}")


def _with_prompts(part: StoredPart, counts: np.ndarray) -> StoredPart:
    """Mark the first counts (R,) positions of each row as given."""
    part.check(
        (counts < 0) | (counts > part.lengths),
        lambda row: (
            f"prompt={counts[row]} of {part.lengths[row]} tokens; it is the number of "
            "leading tokens that are given"
        ),
    )
    given = covered(part.starts, part.starts + counts, len(part.values))
    return _with_given(part, given, lambda row: f"the prompt covers all {part.lengths[row]} tokens")


def _with_given(part: StoredPart, given: np.ndarray, why: Callable[[int], str]) -> StoredPart:
    given = given if part.given is None else given | part.given
    free = np.concatenate([[0], np.cumsum(~given)])
    part.check(
        free[part.starts + part.lengths] == free[part.starts],
        lambda row: f"nothing is left to generate: {why(row)}",
    )
    return replace(part, given=given)


def _with_categories(part: StoredPart, block: Block, here: Collection[str]) -> StoredPart:
    name = next((each for each in CATEGORY if each in here), None)
    if name is None:
        return part
    values, numbers, place = block.column(name)
    classes = integers(values, numbers, place, none=0)
    replace(part, place=place).check(
        classes < 0,
        lambda row: f"class {classes[row]}; classes count from 0, and null stands for none",
    )
    missing = np.array([value is None for value in listed(values)], dtype=bool)
    return replace(part, categories=np.where(missing, -1, classes))
