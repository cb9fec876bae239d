"""FASTA on the command line: records as texts with [MASK], and results as records again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.text.encoding import Encoding

SEQUENCES = dict.fromkeys((".fa", ".faa", ".fasta"), "sequences")


def is_named_so(path: Path) -> bool:
    """Return whether a file is FASTA by its name."""
    return path.suffix.lower() in SEQUENCES


def read_records(path: Path | None, text: str, key: str) -> list[dict[str, Any]] | None:
    """Return {"header": ..., key: ...} of each record, None for a text that is no FASTA.

    path: the file of the text, None for standard input.
    """
    from unmask.data.fasta import is_fasta, parse_fasta

    if not is_fasta(path, text):
        return None
    records = parse_fasta(text, "standard input" if path is None else str(path))
    return [{"header": each.header, key: each.sequence} for each in records]


def hide(rows: Sequence[Mapping[str, Any]], letters: str) -> list[dict[str, Any]]:
    """Return rows with a mark, such as [MASK:3], in place of each run of these letters."""
    from unmask.text.masks import MARK

    if not letters or any("header" not in row for row in rows):
        raise InputError(
            f"--unknown {letters!r}: it names letters of FASTA; in other texts write [MASK]"
        )
    run = re.compile(f"(?P<mark>{MARK})|[{re.escape(letters)}]+")

    def marked(found: re.Match[str]) -> str:
        return found["mark"] or f"[MASK:{len(found[0])}]"

    return [{**row, "text": run.sub(marked, row["text"])} for row in rows]


def without_unknown(rows: Sequence[Mapping[str, Any]], encoding: Encoding) -> list[int]:
    """Return the numbers of the rows that have no mask."""
    from unmask.text.masks import split

    marked = (split(row["text"], encoding.mask_token)[1] for row in rows)
    return [number for number, counts in enumerate(marked) if not counts]


def check_letters(rows: Sequence[Mapping[str, Any]], key: str, encoding: Encoding) -> None:
    """Raise InputError for a letter of a record that the model has no token for."""
    from unmask.text.masks import split

    for row in rows:
        if "header" not in row:
            continue
        pieces, counts = split(row[key], encoding.mask_token)
        if key == "text" and not counts:
            raise InputError(
                f"record {row['header']!r} has no unknown letter: write [MASK], or [MASK:3] for "
                "three, or name letters that stand for unknown ones, as in --unknown X"
            )
        pieces = pieces if key == "text" else [row[key]]
        for word in filter(None, map(encoding.unknown, pieces)):
            what = f"; if it is unknown, pass --unknown {word!r}" if key == "text" else ""
            raise InputError(
                f"record {row['header']!r}: the tokenizer has no token for {word!r}{what}"
            )


def check_spelt(paths: Iterable[Path], model: str, letters: bool) -> None:
    """Raise InputError for a file of FASTA and a model of which texts are no letters.

    letters: whether they are.
    """
    for path in paths:
        if is_named_so(path) and not letters:
            raise InputError(
                f"--out {path}: FASTA holds letters without spaces, and the texts of {model} are "
                "others: pass a name with another ending"
            )


def numbered(header: str, nth: int, of: int) -> str:
    """Return the header of one of several results of a record."""
    return header if of == 1 else f"{header} [{nth + 1} of {of}]".lstrip()


def write(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write headers with their sequences, without asterisks at the end."""
    from unmask.data.fasta import FastaRecord, write_fasta

    write_fasta(path, [FastaRecord(header, letters.rstrip("*")) for header, letters in pairs])


def headers(path: Path) -> dict[str, list[str]]:
    """Return {"headers": ...}, one a row that `read` makes of FASTA, {} for another file."""
    if not is_named_so(path):
        return {}
    from unmask.data import read_fasta

    return {"headers": [each.header for each in read_fasta(path) if each.sequence]}
