"""`read`: read a corpus from files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unmask.core.checks import is_integer
from unmask.data import check
from unmask.data import tokenizer as tokenizers
from unmask.data.arrange import Documents, Windows, cut
from unmask.data.corpus import Corpus
from unmask.data.files import Files, files_at
from unmask.data.rows import MASK, Source, StoredRows
from unmask.data.source import open_source
from unmask.data.text import NEWLINE
from unmask.data.tokenizer import Tokenizer
from unmask.data.trimming import cut_id, likely_padding
from unmask.data.vocabulary import BYTES, Vocabulary
from unmask.errors import DataError

WINDOW = 128
"""The default length of the windows of a stream."""
LEVELS = 256
"""The most grey levels of images that are told from other rows."""


def read(
    path: str | Path,
    *,
    tokenizer: str | Path | None = None,
    vocab_size: int | None = None,
    column: str | None = None,
    length: int | None = None,
    documents: bool = False,
    window: int = WINDOW,
    shape: Sequence[int] | None = None,
) -> Corpus:
    """Read token ids or text from files, and return a `Corpus`.

    path: a file `.npy`, `.npz`, `.safetensors`, `.jsonl`, `.parquet` or `.txt`, a folder of one of
    these kinds, or a folder written by save_to_disk of `datasets`.

    Rows of an array (rows, positions), and of a table, are one example each, and so are images of
    an array (rows, height, width). A stream, which is an array (positions,) or a text file, is cut
    into windows of `length` (default `window`); the rest is dropped. If length is passed, the rows
    of a table are joined, with the end-of-sequence id in between, and cut into windows, too; longer
    rows of an array are cut row by row. documents=True keeps rows, and lines of text, as examples
    of at most `length`. Bytes that are kept apart have an end-of-sequence id of their own, 256.

    Tables have ids in a column `input_ids`, `tokens` or `ids`, or text in `text`, or either in
    `column`. Optional columns are `attention_mask` (0 at padding, which is cut off), `labels` (−100
    at the prompt, else the token), `completion_mask`, `assistant_masks` or `loss_mask` (0 at the
    prompt), `prompt` (the number of leading tokens that are given, or a text that precedes) and
    `class` or `label` (a class from 0). column also names an array of a `.npz` or safetensors file,
    which may have an `attention_mask`, too.

    tokenizer: path of a tokenizer.json or its folder; without one, text is read as bytes. Its
    padding token is cut off the ends of rows. vocab_size: number of ids; default that of the
    tokenizer, or the highest id found + 1. shape: height and width of images stored as rows.

    `.npy`, `.safetensors`, `datasets` and bytes of `.txt` are mapped into memory; tokens of text,
    `.npz` and columns of `.jsonl` and `.parquet` are held in memory. Every id is checked once;
    notes say what was cut off and not read. Raises DataError, with file, row and position, and
    MissingExtraError if a library is not installed.
    """
    _check_options(vocab_size=vocab_size, length=length, window=window)
    files = files_at(path)
    loaded = None if tokenizer is None else tokenizers.load_tokenizer(str(tokenizer))
    source = open_source(files, column=column, tokenizer=loaded, documents=documents)
    if shape is not None or source.shape:
        source = replace(source, shape=_shape(source, shape, length, files.paths[0]))
    marked = source.padding
    if loaded is not None and loaded.pad_id is not None:
        source = _without_padding(source, loaded.pad_id)
    notes = _left_out(files, source, marked)
    if source.nature == "stream" and length is None and not documents:
        length = window
    apart = documents or length is None
    vocabulary = _vocabulary(source, loaded, vocab_size, apart)
    corpus = _arranged(source, vocabulary, length, documents, files.paths[0])
    corpus.notes.extend(notes)
    return replace(corpus, text=source.text)


def _check_options(**options: int | None) -> None:
    for name, value in options.items():
        if value is not None and not is_integer(value):
            raise DataError(f"{name}={value!r}: pass a whole number")
        if value is not None and value < 1:
            raise DataError(f"{name}={value}: pass 1 or more")


def _vocabulary(
    source: Source, tokenizer: Tokenizer | None, size: int | None, apart: bool
) -> Vocabulary:
    """Return the vocabulary, after checking every id. apart: whether rows stay apart."""
    if tokenizer is not None:
        return _of_tokenizer(source.rows, tokenizer, size)
    if source.text:
        if size not in (None, BYTES):
            raise DataError(
                f"vocab_size={size}: text without a tokenizer is read as bytes, of which there are "
                f"{BYTES}; leave it out, or pass tokenizer="
            )
        return Vocabulary.of_bytes(apart, check.absent(source.rows, BYTES))
    top = check.highest_id(source.rows)
    if size is not None:
        advice = f"pass vocab_size={top + 1} (--vocab-size {top + 1}) or more, or leave it out"
        check.check_below(source.rows, size, advice)
    return Vocabulary.of_ids(top + 1 if size is None else size)


def _of_tokenizer(rows: StoredRows, tokenizer: Tokenizer, size: int | None) -> Vocabulary:
    check.highest_id(rows)
    advice = f"the tokenizer {tokenizer.path} has no such id: this data was made with another"
    check.check_below(rows, tokenizer.size, advice)
    seen = check.seen(rows, tokenizer.specials)
    vocabulary = Vocabulary.of_tokenizer(tokenizer.path, size=size, seen=seen)
    mask, pad = vocabulary.mask_id, tokenizer.pad_id
    if mask in seen:
        raise DataError(
            f"{seen[mask]}: id {mask} is the tokenizer's mask token, which marks unknown positions "
            "and cannot be in data; remove it"
        )
    if pad is not None and pad in seen:
        raise DataError(
            f"{seen[pad]}: id {pad} is the tokenizer's padding token, and more of the row follows; "
            "store rows with padding at their ends, or without"
        )
    return vocabulary


def _arranged(
    source: Source, vocabulary: Vocabulary, length: int | None, documents: bool, file: Path
) -> Corpus:
    if documents:
        return replace(_as_documents(source, vocabulary, length, file), documents=True)
    if length is None or (source.nature == "grid" and source.rows.lengths.max() <= length):
        return _as_documents(source, vocabulary, None, file)
    if source.beside:
        raise DataError(
            f"{file}: column {source.beside[0]!r} says something of each row, and length={length} "
            "joins rows and cuts windows: pass documents=True (--documents) to keep rows apart, or "
            "leave the column out of the file"
        )
    if source.nature == "grid":
        return _as_cuttings(source, vocabulary, length)
    return _as_windows(source, vocabulary, length)


def _as_documents(source: Source, vocabulary: Vocabulary, length: int | None, file: Path) -> Corpus:
    rows = source.rows
    if source.nature == "stream":
        raise DataError(
            f"{file}: an array (positions,) is a stream and has no documents; store (rows, "
            "positions), or cut windows: length=128 (--length 128) without --documents"
        )
    longest = int(rows.lengths.max())
    if length is not None and longest > length:
        row = int(np.flatnonzero(rows.lengths > length)[0])
        raise DataError(
            f"{rows.describe(row)}: {rows.lengths[row]:,} tokens, over length={length}: pass "
            f"length={longest} (--length {longest}), which fits all, or cut windows instead of "
            "documents"
        )
    tops = [int(part.categories.max()) for part in rows.parts if part.categories is not None]
    classes = max(tops, default=-1) + 1
    summary = f"{len(rows):,} examples of {_span(rows)} tokens"
    notes = [summary + (f", in {classes} classes" if classes else "")]
    side = math.isqrt(longest)
    if source.shape:
        notes.append(f"each is read as an image of {source.shape[0]}×{source.shape[1]}")
    elif source.nature == "grid" and longest == side**2 >= 64 and vocabulary.size <= LEVELS:
        notes.append(
            f"if these rows of {longest} are images of {side}×{side}, pass shape=[{side}, {side}] "
            f"(data.shape=[{side},{side}] in a recipe), and they are shown as such"
        )
    return Corpus(
        Documents(rows),
        vocabulary,
        longest,
        classes,
        notes,
        documents=int(rows.lengths.min()) < longest,
        shape=(source.shape[0], source.shape[1]) if source.shape else None,
    )


def _span(rows: StoredRows) -> str:
    """Return lengths as text, such as `1 to 4`."""
    low, high = int(rows.lengths.min()), int(rows.lengths.max())
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _as_cuttings(source: Source, vocabulary: Vocabulary, length: int) -> Corpus:
    """Return windows within each row of an array, none across two rows."""
    rows = source.rows
    windows = StoredRows([cut(part, length) for part in rows.parts])
    left = int((rows.lengths % length).sum())
    note = (
        f"{len(rows):,} rows as {len(windows):,} windows of {length}, none across two rows, "
        f"{left:,} tokens left over"
    )
    return Corpus(Documents(windows), vocabulary, length, notes=[note], stream=True)


def _as_windows(source: Source, vocabulary: Vocabulary, length: int) -> Corpus:
    """Return windows of all rows joined."""
    unit = "bytes" if vocabulary.kind == "bytes" else "tokens"
    separator = NEWLINE if vocabulary.kind == "bytes" else vocabulary.eos_id
    examples = Windows(source.rows, length, separator)
    if not len(examples):
        raise DataError(
            f"{examples.total:,} {unit} are fewer than one window of {length}: pass length="
            f"{examples.total} (--length {examples.total}) or less"
        )
    left = examples.total % length
    note = (
        f"{examples.total:,} {unit} as {len(examples):,} windows of {length}, "
        f"{left:,} {unit} left over"
    )
    return Corpus(
        examples,
        vocabulary,
        length,
        notes=[note, *_joined(source.rows, separator, unit)],
        stream=True,
    )


def _joined(rows: StoredRows, separator: int | None, unit: str) -> Sequence[str]:
    if len(rows) == 1:
        return []
    mark = f"id {separator} (end of sequence)" if unit == "tokens" else "a line end"
    return [f"{len(rows):,} pieces joined with {'nothing' if separator is None else mark} between"]


def _shape(
    source: Source, shape: Sequence[int] | None, length: int | None, file: Path
) -> tuple[int, ...]:
    """Return height and width of images, of the files or as passed. DataError if they differ."""
    wanted = source.shape if shape is None else tuple(shape)
    widths = set(source.rows.lengths.tolist())
    if len(wanted) != 2 or not all(is_integer(side, 1) for side in wanted):
        raise DataError(f"shape={shape}: pass height and width of an image, such as [28, 28]")
    if source.nature != "grid" or source.shape not in ((), wanted):
        stored = f"images of {source.shape}" if source.shape else "no rows of one width"
        raise DataError(f"shape={list(wanted)}: {file} has {stored}; leave it out")
    if widths != {wanted[0] * wanted[1]}:
        raise DataError(
            f"{file}: rows of {_span(source.rows)} positions are no images of "
            f"{wanted[0]}×{wanted[1]}; pass a shape whose sides multiply to the length of all rows"
        )
    if length not in (None, *widths):
        raise DataError(f"length={length} and images of {wanted[0]}×{wanted[1]}: leave length out")
    return wanted


def _without_padding(source: Source, pad: int) -> Source:
    """Return rows of ids without the tokenizer's padding token at their ends."""
    if source.text or source.nature == "stream":
        return source
    return replace(source, rows=StoredRows([cut_id(part, pad) for part in source.rows.parts]))


def _left_out(files: Files, source: Source, marked: int) -> list[str]:
    """Return sentences on data that was cut off or not read. marked: positions that a mask cut."""
    ids = not source.text and source.nature != "stream"
    likely = None if source.masked or not ids else likely_padding(source.rows.parts)
    also = source.padding - marked
    notes = [
        (source.masked, f"{marked:,} positions of padding cut off, by {MASK!r}"),
        (also, f"{also:,} positions of the tokenizer's padding token cut off"),
        (likely, likely or ""),
        (source.unread, f"columns not read: {', '.join(source.unread)}"),
        (source.empty, f"{source.empty:,} rows without text left out"),
        (files.others, f"{files.others:,} other files in the folder not read"),
    ]
    return [note for some, note in notes if some]
