"""Rows of ids from the columns of tables, with their prompts and classes, without their padding.

R rows of a block, T values of all its rows, n positions of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unmask.core.checks import is_integer
from unmask.data.blocks import Block, Table
from unmask.data.rows import IDS, MASK, Place, Source, StoredPart, StoredRows, covered, packed
from unmask.data.text import encode_text
from unmask.data.tokenizer import Tokenizer
from unmask.data.trimming import check_flags, cut_by_mask
from unmask.data.values import column_kind, listed, ragged
from unmask.errors import DataError, nearest

TEXT = "text"
LABELS, PROMPT = "labels", "prompt"
LEARNT = ("completion_mask", "assistant_masks", "loss_mask")
"""Flags that are 1 at tokens to learn, and 0 at a prompt."""
CATEGORY = ("class", "label")
IGNORED = -100
"""The label of positions of the prompt, as in transformers."""


def rows_of(tables: Iterable[Table], column: str | None, tokenizer: Tokenizer | None) -> Source:
    """Read tables. Raises DataError for unknown columns, and values of a wrong kind."""
    parts: list[StoredPart] = []
    beside: dict[str, None] = {}
    unread: dict[str, None] = {}
    empty, first = 0, None
    for table in tables:
        name = _choose(table, column)
        place, read = replace(table.place, column=name), None
        for block in table.blocks([name, *_beside(table.names, name)]):
            if read is None:  # all blocks must be of the kind of the first
                read = _text_part if column_kind(block.columns.get(name)) == "text" else _ids_part
            part = read(block, place, tokenizer)
            parts.append(part)
            # Lines of JSON may have different columns.
            names = tuple(dict.fromkeys((*table.names, *block.columns)))
            known = _beside(names, name, read is _text_part)
            beside |= dict.fromkeys(each for each in known if each in block.columns)
            unread |= dict.fromkeys(each for each in names if each not in (name, *known))
            empty += len(block.numbers) - len(part)
        here = (read is _text_part, table.place.file)
        first = here if first is None else first
        if here[0] != first[0]:
            raise DataError(f"{here[1]} and {first[1]}: one holds text, the other ids")
    assert first is not None
    return Source(
        StoredRows(parts),
        "rows",
        text=first[0],
        beside=tuple(each for each in beside if each != MASK),
        masked=MASK in beside,
        unread=tuple(unread),
        empty=empty,
    )


def _choose(table: Table, column: str | None) -> str:
    known = [name for name in (*IDS, TEXT) if name in table.names]
    if column is not None:
        if column not in table.names:
            raise DataError(
                f"{table.place.file} has no column {column!r}: {nearest(column, table.names)}"
            )
        return column
    if not known:
        raise DataError(
            f"{table.place.file} has no column {', '.join(IDS)} or {TEXT}, but "
            f"{', '.join(table.names) or 'none at all'}: name the one to read, "
            f"column={(table.names or ('ids',))[0]!r}"
        )
    return known[0]


def _beside(names: Sequence[str], main: str, text: bool = False) -> tuple[str, ...]:
    """Return the columns that say something of the rows of the main one."""
    category = [name for name in CATEGORY if name in names and name != main][:1]
    wanted = (*(() if text else (LABELS, *LEARNT, MASK)), PROMPT, *category)
    return tuple(name for name in wanted if name in names and name != main)


def _ids_part(block: Block, place: Place, tokenizer: Tokenizer | None) -> StoredPart:
    """Return rows of ids, with prompts by their labels. `tokenizer` is not used."""
    assert place.column is not None
    whole = ragged(block.columns.get(place.column), block.numbers, place)
    for row in np.flatnonzero(whole.lengths == 0)[:1]:
        raise DataError(
            f"{place.describe(int(whole.numbers[row]))}: a row without ids; leave it out"
        )

    def flags(name: str) -> StoredPart:
        at = replace(place, column=name)
        return check_flags(ragged(block.columns[name], block.numbers, at, flags=True), whole)

    here = _beside(tuple(block.columns), place.column)
    part = cut_by_mask(whole, flags(MASK)) if MASK in here else whole
    if LABELS in here:
        labels = ragged(block.columns[LABELS], block.numbers, replace(place, column=LABELS))
        part = _with_labels(part, labels, whole)
    for name in set(LEARNT).intersection(here):
        part = _with_given(part, flags(name).values == 0, lambda row: "all flags are 0")
    if PROMPT in here:
        counts = _integers(
            block.columns[PROMPT], block.numbers, replace(place, column=PROMPT), none=0
        )
        part = _with_prompts(part, counts)
    return _with_categories(part, block, np.ones(len(part), dtype=bool))


def _text_part(block: Block, place: Place, tokenizer: Tokenizer | None) -> StoredPart:
    """Return rows of text as ids, preceded by their prompt if it is text, too."""
    if LABELS in block.columns:
        raise DataError(
            f"{place.file}: column {LABELS!r} belongs to ids, and column {place.column!r} holds "
            f"text; mark what is given in a column {PROMPT!r}"
        )
    numbers = [int(number) for number in block.numbers]
    assert place.column is not None
    bodies = encode_text(_strings(block, place), numbers, place, tokenizer)
    prompts = block.columns.get(PROMPT)
    counts, rows = np.zeros(len(bodies), np.int64), bodies
    if column_kind(prompts) == "text":
        at = replace(place, column=PROMPT)
        heads = encode_text(_strings(block, at), numbers, at, tokenizer)
        counts = np.array([len(head) for head in heads], np.int64)
        rows = [np.concatenate(pair) for pair in zip(heads, bodies, strict=True)]
    elif prompts is not None:
        counts = _integers(prompts, block.numbers, replace(place, column=PROMPT), none=0)
    keep = np.array([len(body) > 0 for body in bodies], dtype=bool)
    kept = np.flatnonzero(keep)
    part = packed([rows[row] for row in kept], [numbers[row] for row in kept], place)
    if prompts is not None:
        part = _with_prompts(part, counts[keep])
    return _with_categories(part, block, keep)


def _with_labels(part: StoredPart, labels: StoredPart, whole: StoredPart) -> StoredPart:
    """Mark positions by labels, one for each value of the whole rows, padding included."""
    for row in np.flatnonzero(whole.lengths != labels.lengths)[:1]:
        raise DataError(
            f"{labels.place.describe(int(labels.numbers[row]))}: {labels.lengths[row]} labels of "
            f"{whole.lengths[row]} tokens; give one label a token, {IGNORED} at the prompt"
        )
    given = labels.values == IGNORED  # neither has gaps but at padding
    inside = covered(part.starts, part.starts + part.lengths, len(given))
    for position in np.flatnonzero(inside & ~given & (labels.values != part.values))[:1]:
        raise DataError(
            f"{labels.describe(int(position))}: label {labels.values[position]} of token "
            f"{part.values[position]}; a label repeats the token, or is {IGNORED} at the prompt"
        )
    return _with_given(part, given, lambda row: f"all labels are {IGNORED}")


def _with_prompts(part: StoredPart, counts: np.ndarray) -> StoredPart:
    """Mark the first counts (R,) positions of each row as given."""
    wrong = (counts < 0) | (counts > part.lengths)
    for row in np.flatnonzero(wrong)[:1]:
        raise DataError(
            f"{part.place.describe(int(part.numbers[row]))}: prompt={counts[row]} of "
            f"{part.lengths[row]} tokens; it is the number of leading tokens that are given"
        )
    given = covered(part.starts, part.starts + counts, len(part.values))
    return _with_given(part, given, lambda row: f"the prompt covers all {part.lengths[row]} tokens")


def _with_given(part: StoredPart, given: np.ndarray, why: Callable[[int], str]) -> StoredPart:
    given = given if part.given is None else given | part.given
    free = np.concatenate([[0], np.cumsum(~given)])
    for row in np.flatnonzero(free[part.starts + part.lengths] == free[part.starts])[:1]:
        where = part.place.describe(int(part.numbers[row]))
        raise DataError(f"{where}: nothing is left to generate: {why(int(row))}")
    return replace(part, given=given)


def _with_categories(part: StoredPart, block: Block, keep: np.ndarray) -> StoredPart:
    for name in CATEGORY:
        if name != part.place.column and name in block.columns:
            at = replace(part.place, column=name)
            values = listed(block.columns[name])
            classes = _integers(values, block.numbers, at, none=-1)
            for row in np.flatnonzero(classes < 0):
                if values[row] is not None:
                    raise DataError(
                        f"{at.describe(int(block.numbers[row]))}: class {classes[row]}; classes "
                        "count from 0, and null stands for none"
                    )
            return replace(part, categories=classes[keep])
    return part


def _integers(values: Any, numbers: np.ndarray, place: Place, *, none: int) -> np.ndarray:
    """Return (R,) int64 of a column of whole numbers, with `none` for null."""
    found = listed(values)
    for value, number in zip(found, numbers, strict=True):
        if value is not None and not is_integer(value):
            raise DataError(f"{place.describe(int(number))}: {value!r:.60}; write a whole number")
    return np.array([none if value is None else value for value in found], dtype=np.int64)


def _strings(block: Block, place: Place) -> list[str]:
    """Return the texts (R,) of a column; a null prompt becomes an empty one."""
    assert place.column is not None
    found = listed(block.columns[place.column])
    if place.column == PROMPT:
        found = ["" if value is None else value for value in found]
    for value, number in zip(found, block.numbers, strict=True):
        if not isinstance(value, str):
            shown = "nothing" if value is None else f"{value!r:.60}"
            raise DataError(f"{place.describe(int(number))}: {shown} instead of text")
    return found
