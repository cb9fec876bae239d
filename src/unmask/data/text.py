"""Text files as ids: the bytes on disk, or the tokens of a tokenizer.

T bytes of a file; R lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from unmask.data.fasta import read_fasta
from unmask.data.rows import Place, Source, StoredPart, StoredRows, packed
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

PIECE = 1 << 24  # bytes given to a tokenizer at once; longer files are cut at the end of a line
LINES = 1 << 14  # lines given to a tokenizer at once
NEWLINE, RETURN = 10, 13


def encode_text(
    texts: Sequence[str], numbers: Iterable[int], place: Place, tokenizer: Tokenizer | None
) -> list[np.ndarray]:
    """Return ids (n,) of each text, by a tokenizer or as UTF-8 bytes. numbers: for errors."""
    try:
        if tokenizer is not None:
            return tokenizer.encode(texts)
        return [np.frombuffer(text.encode("utf-8"), np.uint8) for text in texts]
    except (UnicodeEncodeError, TypeError):  # tokenizers raise TypeError for a surrogate
        for text, number in zip(texts, numbers, strict=True):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise DataError(
                    f"{place.describe(number)}: half a character (a surrogate) that no text holds"
                ) from None
        raise


def from_text(path: Path, tokenizer: Tokenizer | None, documents: bool) -> Source:
    """Return a file as one row, or each line as one, without line end; none of them is empty.

    Bytes are mapped. Raises DataError for bytes that are no text, if there is a tokenizer.
    """
    values = np.zeros(0, np.uint8)
    if path.stat().st_size:  # an empty file cannot be mapped
        values = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
    if documents:
        lines = _lines(values, Place(path, "line"))
        parts = [lines] if tokenizer is None else list(_encoded_lines(lines, tokenizer))
    else:
        place = Place(path, "file")
        if tokenizer is not None:
            texts = ("".join(lines) for _, lines in lines_of(place, PIECE))
            pieces = [encode_text([text], [1], place, tokenizer)[0] for text in texts]
            values = packed(pieces, range(len(pieces)), place).values
        one = np.ones(1, np.int64)
        parts = [StoredPart(values, 0 * one, len(values) * one, one, place)]
    parts = [part.select(part.lengths > 0) for part in parts]
    return Source(StoredRows(parts), stream=not documents, text=True)


def from_fasta(path: Path, tokenizer: Tokenizer | None) -> Source:
    """Return each sequence as a row, counted from 1; those without a letter are left out.

    Raises DataError for a file that is no FASTA, and for unknown letters.
    """
    place = Place(path, "record")
    sequences = [record.sequence for record in read_fasta(path)]
    for number, sequence in enumerate(sequences, 1):
        if "[MASK" in sequence:
            raise DataError(
                f"{place.describe(number)}: [MASK] is an unknown letter, which data cannot have"
            )
    numbers = np.flatnonzero([len(sequence) > 0 for sequence in sequences]) + 1
    kept = [sequences[number - 1] for number in numbers]
    part = packed(encode_text(kept, numbers, place, tokenizer), numbers, place)
    return Source(StoredRows([part]), text=True, empty=len(sequences) - len(kept))


def lines_of(place: Place, size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield lines of `size` bytes in all, or a little more, and the number of the first, from 1.

    They keep their ends. Raises DataError for bytes that are no UTF-8 text.
    """
    number = 1
    with place.file.open("rb") as stream:
        while lines := stream.readlines(size):
            yield number, [_decoded(line, at, place) for at, line in enumerate(lines, number)]
            number += len(lines)


def _decoded(line: bytes, number: int, place: Place) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place.file}, line {number}, byte {error.start} (lines from 1, bytes from 0): "
            f"{error.reason}; store UTF-8 text"
        ) from error


def _encoded_lines(lines: StoredPart, tokenizer: Tokenizer) -> Iterator[StoredPart]:
    for first in range(0, len(lines), LINES):
        numbers = lines.numbers[first : first + LINES]
        raw = (lines.values[lines.span(first + row)].tobytes() for row in range(len(numbers)))
        texts = [_decoded(*pair, lines.place) for pair in zip(raw, numbers, strict=True)]
        yield packed(encode_text(texts, numbers, lines.place, tokenizer), numbers, lines.place)


def _lines(values: np.ndarray, place: Place) -> StoredPart:
    """Return lines of the bytes (T,) of a file, without empty ones."""
    breaks = [
        begin + np.flatnonzero(values[begin : begin + PIECE] == NEWLINE)
        for begin in range(0, len(values), PIECE)
    ]
    ends = np.concatenate([*breaks, [len(values)]]).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths, some = ends - starts, starts < ends
    lengths[some] -= values[ends[some] - 1] == RETURN
    numbers = np.arange(1, len(ends) + 1)
    return StoredPart(values, starts, lengths, numbers, place).select(lengths > 0)
