"""Files of talks as a corpus: rows of ids, of which those of the assistant are learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unmask.data import Corpus, Vocabulary
from unmask.data.arrange import Documents
from unmask.data.blocks import Table
from unmask.data.rows import Place, StoredRows, packed
from unmask.data.talks import Pair, talks_of
from unmask.errors import DataError
from unmask.text.talks import Learnt, Reader

AT_ONCE = 1 << 12  # rows in one array


def read_talks(
    tables: Sequence[tuple[Table, tuple[str, ...]]],
    reader: Reader,
    vocabulary: Vocabulary,
    *,
    each: bool,
    most: int | None,
    longer: str = "refuse",
) -> Corpus:
    """Return the talks and pairs of tables, with the columns that have them, as a corpus.

    each: whether every answer of a talk is an example of its own. most: positions of an example;
    longer: "refuse", "leave_out" or "cut" those with more. Raises DataError, with file and row.
    """
    rows, groups = list[Learnt](), list[int]()
    for number, found in enumerate(_rows(tables, reader, each)):
        rows += found
        groups += [number] * len(found)
    if not rows:
        raise DataError(f"{tables[0][0].path} holds nothing to read: no talk")
    talks, answers = groups[-1] + 1, len(rows)
    rows, groups, note = _fitting(rows, groups, most, longer)
    lengths = [len(row.ids) for row in rows]
    notes = [
        f"{talks:,} talks as {answers:,} examples of {min(lengths):,} to {max(lengths):,} tokens, "
        f"of which {sum(sum(row.learnt) for row in rows) / sum(lengths):.0%} are learnt",
        *([note] if note else []),
        *_unread(tables),
    ]
    return Corpus(
        Documents(_stored(rows, tables[0][0].path)),
        vocabulary,
        max(lengths),
        notes=notes,
        documents=True,
        text=True,
        groups=np.array(groups),
    )


def _rows(
    tables: Sequence[tuple[Table, tuple[str, ...]]], reader: Reader, each: bool
) -> Iterator[list[Learnt]]:
    """Yield the rows of each talk."""
    for table, columns in tables:
        for found in talks_of(table, columns):
            if isinstance(found, Pair):
                yield [reader.pair(found)]
            else:
                yield reader.talk(found, each=each)


def _fitting(
    rows: list[Learnt], groups: list[int], most: int | None, longer: str
) -> tuple[list[Learnt], list[int], str]:
    """Return rows of at most so many tokens, and a sentence on the others.

    Raises DataError for longer ones if they shall be refused, and if none is left.
    """
    lengths = np.array([len(row.ids) for row in rows])
    over = np.flatnonzero(lengths > (most or lengths.max()))
    if not len(over):
        return rows, groups, ""
    longest = int(lengths.argmax())
    told = f"{len(over):,} of {len(rows):,} examples have more than {most:,} tokens"
    if longer == "refuse":
        raise DataError(
            f"{told}, the longest {lengths[longest]:,} ({rows[longest].where}): pass "
            "data.longer=leave_out, or data.longer=cut, which cuts their ends, or a larger "
            "data.length, where the model has more positions"
        )
    kept = list(zip(rows, groups, strict=True))
    if longer == "cut":
        cut = [Learnt(r.ids[:most], r.learnt[:most], r.where).until_learnt() for r in rows]
        kept = list(zip(cut, groups, strict=True))
    kept = [(row, group) for row, group in kept if len(row.ids) <= (most or 0) and any(row.learnt)]
    if not kept:
        raise DataError(f"{told}, and no other is left: pass a larger data.length, or other data")
    done = "left out" if longer == "leave_out" else "cut at their ends"
    gone = len(rows) - len(kept)
    also = f", {gone:,} of them left out, where nothing to learn remains" if longer == "cut" else ""
    return [row for row, _ in kept], [group for _, group in kept], f"{told}: {done}{also}"


def _stored(rows: Sequence[Learnt], path: Path) -> StoredRows:
    parts = []
    for first in range(0, len(rows), AT_ONCE):
        some = rows[first : first + AT_ONCE]
        ids = [np.array(row.ids, np.int64) for row in some]
        part = packed(ids, range(first, first + len(some)), Place(path))
        given = ~np.concatenate([np.array(row.learnt, bool) for row in some])
        parts.append(replace(part, given=given))
    return StoredRows(parts)


def _unread(tables: Sequence[tuple[Table, tuple[str, ...]]]) -> list[str]:
    names = {name: 0 for table, columns in tables for name in table.names if name not in columns}
    return [f"columns not read: {', '.join(names)}"] if names else []
