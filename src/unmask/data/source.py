"""Rows of ids from files of any kind."""

from __future__ import annotations

from pathlib import Path

from unmask.data import arrays, blocks, text
from unmask.data.arrays import ArrayRows
from unmask.data.files import DATASETS, Files
from unmask.data.rows import Source, StoredRows
from unmask.data.tables import rows_of
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

TABLES = {
    ".jsonl": blocks.from_jsonl,
    ".parquet": blocks.from_parquet,
    DATASETS: blocks.from_datasets,
}


def open_source(
    files: Files, *, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    """Read or map the files. Raises DataError for files that cannot be read, or have no token."""
    if files.kind in TABLES:
        source = rows_of(map(TABLES[files.kind], files.paths), column, tokenizer)
    elif files.kind == ".txt":
        source = _texts(files, column, tokenizer, documents)
    else:
        source = _arrays(files, column)
    if not len(source.rows):
        holder = f"{files.paths[0]} holds" if len(files.paths) == 1 else "these files hold"
        raise DataError(f"{holder} nothing to read: no row with a token")
    return source


def _texts(
    files: Files, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    if column is not None:
        raise DataError(f"column={column!r}: {files.paths[0]} is text and has no columns")
    read = text.lines if documents else text.whole
    parts = [part for path in files.paths for part in read(path, tokenizer)]
    return Source(StoredRows(parts), "rows" if documents else "stream", text=True)


def _arrays(files: Files, column: str | None) -> Source:
    found = [_array(path, files.kind, column) for path in files.paths]
    first, unread = found[0], dict.fromkeys(name for each in found for name in each.unread)
    for each, path in zip(found, files.paths, strict=True):
        if bool(each.shape) != bool(first.shape):
            raise DataError(
                f"{path} and {files.paths[0]}: one is a stream (positions,), the other has rows "
                "(rows, positions)"
            )
        if each.shape != first.shape and 2 in (len(each.shape), len(first.shape)):
            raise DataError(
                f"{path} and {files.paths[0]}: rows of shape {each.shape}, and of {first.shape}; "
                "images are of one size"
            )
    return Source(
        StoredRows([each.part for each in found]),
        "grid" if first.shape else "stream",
        shape=first.shape if len(first.shape) == 2 else (),
        masked=any(each.masked for each in found),
        unread=tuple(unread),
    )


def _array(path: Path, kind: str, column: str | None) -> ArrayRows:
    named = {".safetensors": arrays.from_safetensors, ".npz": arrays.from_npz}
    if kind in named:
        return named[kind](path, column)
    if column is not None:
        raise DataError(f"column={column!r}: {path} holds one array and has no columns")
    return arrays.from_npy(path)
