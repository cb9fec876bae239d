"""Rows of ids from files of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unmask.data import arrays, blocks, text
from unmask.data.files import DATASETS, Files
from unmask.data.rows import StoredPart, StoredRows
from unmask.data.tables import TableRows, rows_of
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

TABLES = {
    ".jsonl": blocks.from_jsonl,
    ".parquet": blocks.from_parquet,
    DATASETS: blocks.from_datasets,
}


@dataclass(frozen=True, eq=False)
class Source:
    """All rows of some files, and their nature."""

    rows: StoredRows
    nature: str
    """`stream`: running text or ids; `grid`: rows of one width; `rows`: documents."""
    text: bool
    """Whether the files had text."""
    beside: tuple[str, ...] = ()
    """Columns of tables that mark prompts and classes."""
    empty: int = 0
    """Number of empty rows of text, which are left out."""


def open_source(
    files: Files, *, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    """Read or map the files. Raises DataError for files that cannot be read, or have no token."""
    if files.kind in TABLES:
        source = _tables(files, column, tokenizer)
    elif files.kind == ".txt":
        source = _texts(files, column, tokenizer, documents)
    else:
        source = _arrays(files, column)
    if not len(source.rows):
        holder = f"{files.paths[0]} holds" if len(files.paths) == 1 else "these files hold"
        raise DataError(f"{holder} nothing to read: no row with a token")
    return source


def _tables(files: Files, column: str | None, tokenizer: Tokenizer | None) -> Source:
    read: list[TableRows] = []
    for path in files.paths:
        read.append(rows_of(TABLES[files.kind](path), column, tokenizer))
        if len(read) > 1 and read[-1].text != read[0].text:
            raise DataError(f"{path} and {files.paths[0]}: one holds text, the other ids")
    return Source(
        rows=StoredRows([part for table in read for part in table.parts]),
        nature="rows",
        text=read[0].text,
        beside=tuple(dict.fromkeys(name for table in read for name in table.beside)),
        empty=sum(table.empty for table in read),
    )


def _texts(
    files: Files, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    if column is not None:
        raise DataError(f"column={column!r}: {files.paths[0]} is text and has no columns")
    read = text.lines if documents else text.whole
    parts = [part for path in files.paths for part in read(path, tokenizer)]
    return Source(StoredRows(parts), "rows" if documents else "stream", True)


def _arrays(files: Files, column: str | None) -> Source:
    found = [_array(path, files.kind, column) for path in files.paths]
    for (_, stream), path in zip(found, files.paths, strict=True):
        if stream != found[0][1]:
            raise DataError(
                f"{path} and {files.paths[0]}: one is a stream (positions,), the other has rows "
                "(rows, positions)"
            )
    return Source(
        StoredRows([part for part, _ in found]), "stream" if found[0][1] else "grid", False
    )


def _array(path: Path, kind: str, column: str | None) -> tuple[StoredPart, bool]:
    if kind == ".safetensors":
        return arrays.from_safetensors(path, column)
    if column is not None:
        raise DataError(f"column={column!r}: {path} holds one array and has no columns")
    return arrays.from_npy(path)
