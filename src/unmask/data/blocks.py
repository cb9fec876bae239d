"""Tables read in blocks of rows: JSON lines, parquet files and `datasets` folders.

R rows of a block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from unmask.core.optional import library
from unmask.data.rows import Place
from unmask.data.text import lines_of
from unmask.errors import DataError

LINES = 1 << 20  # bytes of the lines of JSON in a block
BATCH = 1 << 14  # rows of parquet or `datasets` in a block


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a table, by column."""

    columns: dict[str, Any]  # by name, each a list (R,) of JSON values, or a pyarrow array (R,)
    numbers: np.ndarray  # (R,) int64, the numbers of rows in messages
    place: Place

    def column(self, name: str) -> tuple[Any, np.ndarray, Place]:
        """Return a column, or None if the block has none, the numbers of its rows, its place."""
        return self.columns.get(name), self.numbers, replace(self.place, column=name)


@dataclass(frozen=True, eq=False)
class Table:
    """A table on disk: the names of its columns, and its rows on demand.

    blocks: names of columns -> blocks with at least these columns.
    """

    path: Path
    names: tuple[str, ...]
    blocks: Callable[[Sequence[str]], Iterator[Block]]


def from_jsonl(path: Path) -> Table:
    """Read one JSON object a line, without empty lines. Columns are those of the first block.

    Raises DataError for a line that is not a JSON object.
    """
    blocks = _json_blocks(path)
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{path} is empty: write one JSON object a line, such as {{'ids': [1, 2]}}")
    return Table(path, tuple(first.columns), lambda _: chain([first], blocks))


def from_parquet(path: Path) -> Table:
    """Read a parquet file. Raises DataError if it is broken, MissingExtraError without pyarrow."""
    parquet = library("pyarrow.parquet", "train", f"{path}: reading parquet needs pyarrow")
    with _whole(path, "parquet file"):
        file = parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        with file:
            batches = file.iter_batches(BATCH, columns=list(columns))
            yield from _arrow_blocks(path, "parquet file", batches)

    return Table(path, names, blocks)


def from_datasets(path: Path) -> Table:
    """Read a folder written by save_to_disk of `datasets`; its rows are mapped into memory.

    Raises DataError if it is broken or has several splits, MissingExtraError without `datasets`.
    """
    if (path / "dataset_dict.json").is_file():
        splits = sorted(part.parent.name for part in path.glob("*/state.json"))
        first = "train" if "train" in splits else (splits or ["train"])[0]
        raise DataError(
            f"{path} holds several splits ({', '.join(splits)}): pass one, such as {path / first}"
        )
    datasets = library("datasets", "train", f"{path}: reading a datasets folder needs datasets")
    with _whole(path, "datasets folder"):
        found = datasets.load_from_disk(str(path))
        names = tuple(found.column_names)

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        tables = found.select_columns(list(columns)).with_format("arrow").iter(BATCH)
        batches = (batch for table in tables for batch in table.to_batches())
        return _arrow_blocks(path, "datasets folder", batches)

    return Table(path, names, blocks)


def _json_blocks(path: Path) -> Iterator[Block]:
    place = Place(path, "line")
    for first, lines in lines_of(place, LINES):
        rows = {n: _row(place, n, line) for n, line in enumerate(lines, first) if line.strip()}
        names = dict.fromkeys(name for row in rows.values() for name in row)
        columns = {name: [row.get(name) for row in rows.values()] for name in names}
        if rows:
            yield Block(columns, np.array(list(rows), np.int64), place)


def _row(place: Place, number: int, line: str) -> dict[str, Any]:
    where = place.describe(number)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(
            f"{where}{column}: not JSON ({error}); each line is one object, such as {{'ids': [1]}}"
        ) from error
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: {type(row).__name__} instead of an object; write {{'ids': [...]}}"
        )
    return row


def _arrow_blocks(path: Path, kind: str, batches: Iterable[Any]) -> Iterator[Block]:
    first = 0
    with _whole(path, kind):
        for batch in batches:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield Block(columns, np.arange(first, first + len(batch)), Place(path))
            first += len(batch)


@contextmanager
def _whole(path: Path, kind: str) -> Iterator[None]:
    """Turn errors of the libraries about a broken file into DataError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are of these
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{path}: not a complete {kind} ({lines[0]}); write it again") from error
