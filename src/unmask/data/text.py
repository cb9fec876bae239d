"""Text files as ids: the bytes on disk, or the tokens of a tokenizer.

T bytes of a file; R lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from unmask.data.rows import Place, StoredPart, packed
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

PIECE = 1 << 24
"""Characters given to a tokenizer at once; longer files are cut at the end of a line."""
LINES = 1 << 14
"""Lines given to a tokenizer at once."""
NEWLINE, RETURN = 10, 13


def encode_text(texts: Sequence[str], numbers: Sequence[int], place: Place,
                tokenizer: Tokenizer | None) -> list[np.ndarray]:  # fmt: skip
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


def whole(path: Path, tokenizer: Tokenizer | None) -> list[StoredPart]:
    """Return a file as one row: mapped bytes, or the tokens of its text."""
    place = Place(path, "file")
    one = np.ones(1, np.int64)
    if tokenizer is None:
        values = _mapped(path)
        return [StoredPart(values, 0 * one, len(values) * one, one, place)] if len(values) else []
    pieces = [encode_text([text], [1], place, tokenizer)[0] for text in _pieces(path)]
    ids = np.concatenate([np.zeros(0, np.int64), *pieces])
    return [packed([ids], [1], place)] if len(ids) else []


def lines(path: Path, tokenizer: Tokenizer | None) -> list[StoredPart]:
    """Return each line of a file as one row, without line end; empty lines are left out."""
    if tokenizer is None:
        return _byte_lines(path)
    parts = []
    with opened(path) as stream:
        counted = enumerate(stream, start=1)
        while batch := list(islice(counted, LINES)):
            texts = [(text.rstrip("\r\n"), number) for number, text in batch]
            parts.append(_kept(texts, Place(path, "line"), tokenizer))
    return [part for part in parts if len(part)]


def _kept(texts: list[tuple[str, int]], place: Place, tokenizer: Tokenizer) -> StoredPart:
    full = [(text, number) for text, number in texts if text]
    numbers = [number for _, number in full]
    rows = encode_text([text for text, _ in full], numbers, place, tokenizer) if full else []
    some = [(row, number) for row, number in zip(rows, numbers, strict=True) if len(row)]
    return packed([row for row, _ in some], [number for _, number in some], place)


def _byte_lines(path: Path) -> list[StoredPart]:
    values = _mapped(path)
    breaks = [
        begin + np.flatnonzero(values[begin : begin + PIECE] == NEWLINE)
        for begin in range(0, len(values), PIECE)
    ]
    ends = np.concatenate([np.zeros(0, np.int64), *breaks, np.array([len(values)])])
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    full = starts < ends
    last = values[np.maximum(ends - 1, 0)[full]]
    lengths = (ends - starts)[full] - (last == RETURN)
    kept = lengths > 0
    numbers = (1 + np.flatnonzero(full))[kept]
    part = StoredPart(values, starts[full][kept], lengths[kept], numbers, Place(path, "line"))
    return [part] if len(part) else []


def _mapped(path: Path) -> np.ndarray:
    """(T,) uint8; an empty file cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, mode="r").view(np.ndarray)


def _pieces(path: Path) -> Iterator[str]:
    with opened(path) as stream:
        while text := stream.read(PIECE):
            yield text + stream.readline()


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file, its line ends left as they are; DataError for bytes that are no text."""
    with path.open(encoding="utf-8", newline="\n") as stream:
        try:
            yield stream
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, {_broken(path)}: {error.reason}; store UTF-8 text") from error


def _broken(path: Path) -> str:
    """The first line that is no UTF-8."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start} (lines from 1, bytes from 0)"
    return "at its end"
