"""Rows of ids from files of any kind."""

from __future__ import annotations

from pathlib import Path

from unmask.data import arrays, blocks
from unmask.data.fasta import FASTA
from unmask.data.files import DATASETS, Files
from unmask.data.rows import Source, StoredRows
from unmask.data.tables import rows_of
from unmask.data.text import from_fasta, from_text
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

TABLES = {
    ".jsonl": blocks.from_jsonl,
    ".parquet": blocks.from_parquet,
    DATASETS: blocks.from_datasets,
}
ARCHIVES = {".safetensors": arrays.from_safetensors, ".npz": arrays.from_npz}


def open_source(
    files: Files, *, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    """Read or map the files. Raises DataError for files that cannot be read, or have no token."""
    source = _joined(
        [_open(path, files.kind, column, tokenizer, documents) for path in files.paths],
        files.paths,
    )
    if not len(source.rows):
        holder = f"{files.paths[0]} holds" if len(files.paths) == 1 else "these files hold"
        raise DataError(f"{holder} nothing to read: no row with a token")
    return source


def _open(
    path: Path, kind: str, column: str | None, tokenizer: Tokenizer | None, documents: bool
) -> Source:
    if kind in TABLES:
        return rows_of(TABLES[kind](path), column, tokenizer)
    if kind in ARCHIVES:
        return ARCHIVES[kind](path, column)
    if column is not None:
        what = "holds one array" if kind == ".npy" else "is text"
        raise DataError(f"column={column!r}: {path} {what} and has no columns")
    if kind in FASTA:
        return from_fasta(path, tokenizer)
    return from_text(path, tokenizer, documents) if kind == ".txt" else arrays.from_npy(path)


def _joined(sources: list[Source], paths: tuple[Path, ...]) -> Source:
    """Return the rows of all files. Raises DataError for files that do not go together."""
    first = sources[0]
    for each, path in zip(sources, paths, strict=True):
        both = f"{path} and {paths[0]}"
        if each.text != first.text:
            raise DataError(f"{both}: one holds text, the other ids")
        if each.stream != first.stream:
            raise DataError(
                f"{both}: one is a stream (positions,), the other has rows (rows, positions)"
            )
        if each.shape != first.shape and 2 in (len(each.shape), len(first.shape)):
            raise DataError(
                f"{both}: rows of shape {each.shape}, and of {first.shape}; images are of one size"
            )
    return Source(
        StoredRows([part for each in sources for part in each.rows.parts]),
        stream=first.stream,
        text=first.text,
        shape=first.shape,
        beside=tuple(dict.fromkeys(name for each in sources for name in each.beside)),
        masked=any(each.masked for each in sources),
        unread=tuple(dict.fromkeys(name for each in sources for name in each.unread)),
        empty=sum(each.empty for each in sources),
    )
