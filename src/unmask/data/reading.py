"""`read`: read a corpus from files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unmask.core.checks import check_flag, is_integer
from unmask.data import bpe, check
from unmask.data import tokenizer as tokenizers
from unmask.data.arrange import Documents, Windows, cut
from unmask.data.corpus import Corpus
from unmask.data.files import Files, files_at
from unmask.data.rows import MASK, Source, StoredRows
from unmask.data.source import TABLES, open_source
from unmask.data.text import NEWLINE
from unmask.data.tokenizer import Tokenizer
from unmask.data.trimming import cut_id, likely_padding, rows_with_inner
from unmask.data.vocabulary import BYTES, Vocabulary
from unmask.errors import DataError

WINDOW = 128  # the default length of the windows of a stream
LEVELS = 256  # the most grey levels of images that are told from other rows


def read(
    path: str | Path,
    *,
    tokenizer: str | Path | None = None,
    vocab_size: int | None = None,
    column: str | None = None,
    length: int | None = None,
    documents: bool = False,
    shape: Sequence[int] | None = None,
) -> Corpus:
    """Read token ids or text from files, and return a `Corpus`.

    path: a file `.npy`, `.npz`, `.safetensors`, `.jsonl`, `.parquet`, `.txt` or FASTA (`.fasta`,
    `.fa`, `.faa`), a folder of one of these kinds, or a folder written by save_to_disk of
    `datasets`.

    Rows of an array (rows, positions), and of a table, are one example each, and so are sequences
    of FASTA and images of an array (rows, height, width). A stream, which is an array (positions,)
    or a text file, is cut into windows of `length` (default 128); the rest is dropped. If length is
    passed, the rows of a table are joined, with the end-of-sequence id in between, and cut into
    windows, too; longer rows of an array are cut row by row. documents=True keeps rows, and lines
    of text, as examples of at most `length`. Bytes that are kept apart have an end-of-sequence id
    of their own, 256.

    Tables have ids in a column `input_ids`, `tokens` or `ids`, or text in `text`, or either in
    `column`. Optional columns are `attention_mask` (0 at padding, which is cut off), `labels` (−100
    at the prompt, else the token), `completion_mask`, `assistant_masks` or `loss_mask` (0 at the
    prompt), `prompt` (the number of leading tokens that are given, or a text that precedes) and
    `class` or `label` (a class from 0). column also names an array of a `.npz` or safetensors file,
    which may have an `attention_mask`, too.

    tokenizer: path of a tokenizer.json or its folder; without one, text is read as bytes. Its
    padding token is cut off the ends of rows. `bpe:4096` trains a byte-level BPE of so many ids, on
    the share of the text that `Corpus.split` does not hold out. vocab_size: number of ids; default
    that of the tokenizer, or the highest id found + 1. shape: height and width of images stored as
    rows.

    `.npy`, `.safetensors`, `datasets` and bytes of `.txt` are mapped into memory; tokens of text,
    `.npz` and columns of `.jsonl` and `.parquet` are held in memory. Every id is checked once;
    notes say what was cut off and not read. Raises DataError, with file, row and position, and for
    options that have no effect on such data, and MissingExtraError if a library is not installed.
    """
    for name, value in (("vocab_size", vocab_size), ("length", length)):
        if value is not None and not is_integer(value, 1):
            raise DataError(f"{name}={value!r}: pass a whole number of 1 or more")
    check_flag("documents", documents, DataError)
    files, given = files_at(path), tokenizer
    size = bpe.asked(tokenizer)
    if size is not None:
        text = read(path, column=column, documents=documents).split()[0]
        tokenizer = bpe.train_tokenizer(text, size)
    loaded = None if tokenizer is None else tokenizers.load_tokenizer(str(tokenizer))
    source = open_source(files, column=column, tokenizer=loaded, documents=documents)
    if shape is not None or len(source.shape) == 2:
        source = replace(source, shape=_image(source, shape, length, files.paths[0]))
    marked, ids = source.padding, not (source.text or source.stream)
    if ids and loaded is not None and loaded.pad_id is not None:
        parts = [cut_id(part, loaded.pad_id) for part in source.rows.parts]
        source = replace(source, rows=StoredRows(parts))
    likely = likely_padding(source.rows.parts) if ids and not source.masked else None
    if source.stream and length is None and not documents:
        length = WINDOW
    vocabulary = _vocabulary(source, loaded, vocab_size, apart=documents or length is None)
    if size is not None:
        unseen = {*check.absent(source.rows, vocabulary.size)} - {vocabulary.mask_id}
        vocabulary = replace(vocabulary, absent=tuple(sorted(unseen - {vocabulary.eos_id})))
    corpus = _arranged(source, vocabulary, length, documents, files.paths[0])
    corpus.notes.extend(_left_out(files, source, marked, likely))
    return replace(corpus, text=source.text, tokenizer=None if given is None else str(given))


def is_stream(path: str | Path, column: str | None = None) -> bool:
    """Return whether files are running text or ids, which `read` cuts into windows by default."""
    files = files_at(path)
    if files.kind in TABLES:
        return False
    return open_source(files, column=column, tokenizer=None, documents=False).stream


def _vocabulary(
    source: Source, tokenizer: Tokenizer | None, size: int | None, apart: bool
) -> Vocabulary:
    """Return the vocabulary, after checking every id. apart: whether rows stay apart."""
    rows = source.rows
    if source.text and tokenizer is None:
        vocabulary = Vocabulary.of_bytes(apart, check.absent(rows, BYTES))
        if size not in (None, vocabulary.size):
            raise DataError(
                f"vocab_size={size}: text without a tokenizer is read as bytes, of which there are "
                f"{BYTES}{', and an end' if apart else ''}; leave it out, or pass tokenizer="
            )
        return vocabulary
    top = check.highest_id(rows)
    above, advice = size, f"pass vocab_size={top + 1} (--vocab-size {top + 1}) or more"
    if tokenizer is not None:
        above = tokenizer.size
        advice = f"the tokenizer {tokenizer.path} has no such id: this data was made with another"
    if above is not None:
        why = f"is not below {above}; {advice}"
        check.check_values(rows.parts, lambda v: v >= above, lambda v: f"id {v} {why}")
    if tokenizer is None:
        return Vocabulary.of_ids(top + 1 if size is None else size)
    seen = check.seen(rows, tokenizer.specials)
    vocabulary = Vocabulary.of_tokenizer(tokenizer.path, size=size, seen=seen)
    reasons = {
        tokenizer.pad_id: "padding token, and more of the row follows; store rows with padding at "
        "their ends, or without",
        vocabulary.mask_id: "mask token, which marks unknown positions and cannot be in data; "
        "remove it",
    }
    for number in seen.keys() & reasons.keys():
        raise DataError(f"{seen[number]}: id {number} is the tokenizer's {reasons[number]}")
    return vocabulary


def _arranged(
    source: Source, vocabulary: Vocabulary, length: int | None, documents: bool, file: Path
) -> Corpus:
    rows = source.rows
    if documents and source.stream:
        raise DataError(
            f"{file}: an array (positions,) is a stream and has no documents; store (rows, "
            "positions), or cut windows: length=128 (--length 128) without --documents"
        )
    longest = int(rows.lengths.max())
    if documents or length is None or (source.shape and longest <= length):
        for row in np.flatnonzero(rows.lengths > (length or longest))[:1]:
            raise DataError(
                f"{rows.describe(row)}: {rows.lengths[row]:,} tokens, over length={length}: pass "
                f"length={longest} (--length {longest}), which fits all, or cut windows instead of "
                "documents"
            )
        return _as_documents(source, vocabulary, longest, documents)
    if source.beside:
        raise DataError(
            f"{file}: column {source.beside[0]!r} says something of each row, and length={length} "
            "joins rows and cuts windows: pass documents=True (--documents) to keep rows apart, or "
            "leave the column out of the file"
        )
    if source.shape:
        windows = StoredRows([cut(part, length) for part in rows.parts])
        note = (
            f"{len(rows):,} rows as {len(windows):,} windows of {length}, none across two rows, "
            f"{int((rows.lengths % length).sum()):,} tokens left over"
        )
        return Corpus(Documents(windows), vocabulary, length, notes=[note], stream=True)
    return _as_windows(rows, vocabulary, length)


def _as_documents(source: Source, vocabulary: Vocabulary, longest: int, told: bool) -> Corpus:
    rows, end = source.rows, vocabulary.eos_id
    tops = [int(part.categories.max()) for part in rows.parts if part.categories is not None]
    classes = max(tops, default=-1) + 1
    notes = [
        f"{len(rows):,} examples of {_span(rows)} tokens"
        + (f", in {classes} classes" if classes else "")
    ]
    side = math.isqrt(longest)
    shape = source.shape if len(source.shape) == 2 else None
    if shape:
        notes.append(f"each is read as an image of {shape[0]}×{shape[1]}")
    elif source.shape and longest == side**2 >= 64 and vocabulary.size <= LEVELS:
        notes.append(
            f"if these rows of {longest} are images of {side}×{side}, pass shape=[{side}, {side}] "
            f"(data.shape=[{side},{side}] in a recipe), and they are shown as such"
        )
    documents, inner = told or int(rows.lengths.min()) < longest, 0
    if documents and vocabulary.kind == "tokenizer" and end is not None:
        inner = sum(rows_with_inner(part, end) for part in rows.parts)
    if inner:
        notes.append(
            f"{inner:,} examples go on after id {end} (end of sequence), so that padding=auto does "
            "not teach where they end"
        )
    return Corpus(
        Documents(rows),
        vocabulary,
        longest,
        classes,
        notes,
        documents=documents,
        inner_ends=inner,
        shape=shape,
    )


def _span(rows: StoredRows) -> str:
    """Return lengths as text, such as `1 to 4`."""
    low, high = int(rows.lengths.min()), int(rows.lengths.max())
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _as_windows(rows: StoredRows, vocabulary: Vocabulary, length: int) -> Corpus:
    """Return windows of all rows joined."""
    unit, separator, mark = "tokens", vocabulary.eos_id, f"id {vocabulary.eos_id} (end of sequence)"
    if vocabulary.kind == "bytes":
        unit, separator, mark = "bytes", NEWLINE, "a line end"
    examples = Windows(rows, length, separator)
    if not len(examples):
        raise DataError(
            f"{examples.total:,} {unit} are fewer than one window of {length}: pass length="
            f"{examples.total} (--length {examples.total}) or less"
        )
    notes = [
        f"{examples.total:,} {unit} as {len(examples):,} windows of {length}, "
        f"{examples.total % length:,} {unit} left over"
    ]
    if len(rows) > 1:
        between = "nothing" if separator is None else mark
        notes.append(f"{len(rows):,} pieces joined with {between} between")
    return Corpus(examples, vocabulary, length, notes=notes, stream=True)


def _image(
    source: Source, shape: Sequence[int] | None, length: int | None, file: Path
) -> tuple[int, int]:
    """Return height and width of images, of the files or as passed. DataError if they differ."""
    wanted = source.shape if shape is None else shape
    if not isinstance(wanted, list | tuple) or [is_integer(n, 1) for n in wanted] != [True, True]:
        raise DataError(f"shape={shape!r}: pass height and width of an image, such as [28, 28]")
    tall, wide = wanted
    if not source.shape or (len(source.shape) == 2 and source.shape != (tall, wide)):
        found = f"images of {source.shape}" if source.shape else "no rows of one width"
        raise DataError(f"shape={[tall, wide]}: {file} has {found}; leave it out")
    widths = set(source.rows.lengths.tolist())
    if widths != {tall * wide}:
        raise DataError(
            f"{file}: rows of {_span(source.rows)} positions are no images of {tall}×{wide}; pass "
            "a shape whose sides multiply to the length of all rows"
        )
    if length not in (None, *widths):
        raise DataError(f"length={length} and images of {tall}×{wide}: leave length out")
    return tall, wide


def _left_out(files: Files, source: Source, marked: int, likely: str | None) -> list[str]:
    """Return sentences on data that was cut off or not read. marked: positions that a mask cut."""
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
