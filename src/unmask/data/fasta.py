"""FASTA files: records of a header and a sequence of letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unmask.core.files import write_file
from unmask.core.lines import LINE_END, lines_of
from unmask.errors import DataError, InputError

FASTA = (".fa", ".faa", ".fasta")
WIDTH = 60
_NO_SEQUENCE = re.compile(r"[\s>;]")


@dataclass(frozen=True)
class FastaRecord:
    """A record: what stands behind `>`, and the letters below it, without line ends and spaces."""

    header: str
    sequence: str


def read_fasta(path: str | Path) -> list[FastaRecord]:
    """Return the records of a file, in its order; names may be equal and sequences empty.

    Lines of any width and line end are joined, without spaces and an asterisk at the end of a
    sequence; letters stay as they are. Lines that begin with `;` are comments. Raises DataError
    for a file that cannot be read, is no UTF-8, or has letters before the first header.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no FASTA file: byte {error.start} is no UTF-8 text; a compressed file has "
            "to be unpacked first"
        ) from None
    return parse_fasta(text, str(path))


def parse_fasta(text: str, where: str) -> list[FastaRecord]:
    """Return the records of a text as `read_fasta` does. where: its place, for errors."""
    found = list(_records(text, where))
    if not found:
        raise DataError(f"{where} has no record: write a line such as >name, and letters below it")
    return found


def _records(text: str, where: str) -> Iterator[FastaRecord]:
    header, letters = None, list[str]()
    for number, line in enumerate(lines_of(text), 1):
        if line.startswith(">"):
            if header is not None:
                yield FastaRecord(header, "".join(letters).removesuffix("*"))
            header, letters = line[1:].strip(), []
        elif not line.startswith(";"):
            parts = line.split()
            if parts and header is None:
                raise DataError(
                    f"{where}, line {number}: {parts[0][:20]!r} is before the first header; a "
                    "record begins with a line such as >name"
                )
            letters += parts
    if header is not None:
        yield FastaRecord(header, "".join(letters).removesuffix("*"))


def is_fasta(path: str | Path | None, text: str) -> bool:
    """Return whether a text is FASTA, by the name of its file or else by what it has.

    By what it has: the first line begins with `>`, and lines of letters without spaces follow.
    """
    if path is not None and Path(path).suffix.lower() in FASTA:
        return True
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    rest = [line for line in lines if not line.startswith((">", ";"))]
    words = all(len(line.split()) == 1 for line in rest)
    return bool(rest) and lines[0].startswith(">") and words


def fasta_text(records: Iterable[FastaRecord], width: int = WIDTH) -> str:
    """Return records as text, `width` letters a line. Raises InputError as `write_fasta` does."""
    if width < 1:
        raise InputError(f"width={width}: pass letters of a line, 1 or more, such as {WIDTH}")
    return "".join(_written(record, width) for record in records)


def write_fasta(path: str | Path, records: Iterable[FastaRecord], width: int = WIDTH) -> Path:
    """Write records, `width` letters a line, under a temporary name first; return the path.

    Raises InputError for a header of several lines, and for letters that are none in FASTA: space,
    `>`, `;`, and an asterisk at the end.
    """
    return write_file(path, fasta_text(records, width).encode("utf-8"))


def _written(record: FastaRecord, width: int) -> str:
    header, sequence = record.header, record.sequence
    if LINE_END.search(header):
        raise InputError(f"header {header!r}: a header is one line")
    wrong = _NO_SEQUENCE.search(sequence)
    if wrong or sequence.endswith("*"):
        letter = wrong[0] if wrong else "*"
        raise InputError(f"the sequence of {header!r} has {letter!r}, which FASTA does not hold")
    lines = [sequence[at : at + width] for at in range(0, len(sequence), width)]
    return "\n".join([f">{header}", *lines, ""])
