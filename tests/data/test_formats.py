"""Every format gives back what plain numpy put in, without reading what nobody asked for.

R rows, W positions.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.data import read
from unmask.data.corpus import Corpus
from unmask.data.rows import Place, StoredRows
from unmask.data.values import ragged
from unmask.errors import DataError

RAGGED = [[3, 1, 4], [1], [5, 9, 2, 6], [5, 3]]
GRID = np.arange(48).reshape(8, 6) % 13


def ids(corpus: Corpus) -> list[list[int]]:
    return [example.tokens.tolist() for example in corpus.examples]


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_table(folder: Path, kind: str, columns: dict[str, list]) -> Path:
    """Columns as JSON lines, parquet (groups of 2 rows), or a `datasets` folder (two files)."""
    if kind == "jsonl":
        names = list(columns)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return write_lines(folder / "table.jsonl", rows)
    if kind == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), folder / "table.parquet", row_group_size=2)
        return folder / "table.parquet"
    from datasets import Dataset

    shards = min(2, len(next(iter(columns.values()))))
    Dataset.from_dict(columns).save_to_disk(str(folder / "saved"), num_shards=shards)
    return folder / "saved"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "<i4", ">i4", "int64", "uint64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_rows(tmp_path, dtype, order):
    np.save(tmp_path / "a.npy", np.asarray(GRID, dtype=dtype, order=order))
    corpus = read(tmp_path / "a.npy")
    assert ids(corpus) == GRID.tolist()
    first = corpus.examples[0]
    assert (first.tokens.dtype, first.maskable.dtype) == (torch.int64, torch.bool)
    assert first.maskable.all()
    assert first.category is None
    assert (corpus.longest, corpus.classes, corpus.vocabulary.size) == (6, 0, 13)
    assert corpus.notes == ["8 examples of 6 tokens"]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"])
def test_safetensors_rows(tmp_path, dtype):
    from safetensors.numpy import save_file

    other = np.zeros(3, dtype=np.uint8)  # three bytes before the ids: they are not aligned
    save_file({"ids": GRID.astype(dtype), "a": other}, tmp_path / "a.safetensors")
    assert ids(read(tmp_path / "a.safetensors", column="ids")) == GRID.tolist()
    save_file({"only": GRID.astype(dtype)}, tmp_path / "b.safetensors")
    assert ids(read(tmp_path / "b.safetensors")) == GRID.tolist()


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
@pytest.mark.parametrize("column", ["input_ids", "tokens", "ids"])
def test_rows_of_tables(tmp_path, kind, column):
    columns = {"other": ["x"] * 4, column: RAGGED}
    corpus = read(write_table(tmp_path, kind, columns))
    assert ids(corpus) == RAGGED
    assert (corpus.longest, corpus.vocabulary.size) == (4, 10)
    assert corpus.notes == ["4 examples of 1 to 4 tokens", "columns not read: other"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
def test_ids_of_every_size(tmp_path, kind):
    for rows in ([[255, 0]], [[3], [256, 1]], [[70000, 2], [5]], [[1], [2**40, 7]]):
        (folder := tmp_path / str(rows[-1][0])).mkdir()
        assert ids(read(write_table(folder, kind, {"ids": rows}))) == rows


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
def test_a_column_by_name_comes_before_the_known_ones(tmp_path, kind):
    columns = {"input_ids": [[1], [2], [3], [4]], "codes": RAGGED, "words": ["a", "b", "cd", "é"]}
    path = write_table(tmp_path, kind, columns)
    assert ids(read(path, column="codes")) == RAGGED
    assert ids(read(path, column="words")) == [[97], [98], [99, 100], [0xC3, 0xA9]]
    assert read(path, column="words").vocabulary.kind == "bytes"


@pytest.mark.parametrize("width", ["fixed", "large", "int8"])
def test_arrow_has_lists_of_several_kinds(tmp_path, width):
    import pyarrow as pa
    from pyarrow import parquet

    kind = {"fixed": pa.list_(pa.int32(), 6), "large": pa.large_list(pa.uint16()),
            "int8": pa.list_(pa.int8())}[width]  # fmt: skip
    column = pa.array(GRID.tolist(), type=kind)
    parquet.write_table(pa.table({"ids": column}), tmp_path / "a.parquet")
    assert ids(read(tmp_path / "a.parquet")) == GRID.tolist()
    part = ragged(column[3:7], np.arange(4), Place(tmp_path))  # a slice, as some blocks are
    assert [StoredRows([part]).tokens(i).tolist() for i in range(4)] == GRID[3:7].tolist()


def test_large_tables_come_in_blocks_and_count_through(tmp_path, monkeypatch):
    from unmask.data import blocks

    monkeypatch.setattr(blocks, "LINES", 3)
    monkeypatch.setattr(blocks, "BATCH", 3)
    rows = [[i % 7] * (1 + i % 4) for i in range(20)]
    for kind in ("jsonl", "parquet", "datasets"):
        path = write_table(tmp_path, kind, {"ids": rows})
        assert ids(read(path)) == rows
        with pytest.raises(DataError, match="line 7 " if kind == "jsonl" else "row 6 "):
            read(path, vocab_size=6)
    late = [{"ids": [1]}] * 7 + [{"ids": [1, 2], "class": 2, "prompt": 1}]
    corpus = read(write_lines(tmp_path / "late.jsonl", late))
    assert corpus.classes == 3
    assert corpus.examples[7].maskable.tolist() == [False, True]
    with pytest.raises(DataError, match="column 'prompt'"):
        read(tmp_path / "late.jsonl", length=3)


def test_folders_are_read_in_the_order_of_names(tmp_path):
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "b.npy", GRID[:2])
    np.save(tmp_path / "a.npy", GRID[2:5].astype(np.uint8))
    np.save(tmp_path / "deep" / "c.npy", GRID[5:])
    (tmp_path / ".hidden.npy").write_bytes(b"half written")
    (tmp_path / "README.md").write_text("words")
    corpus = read(tmp_path)
    assert ids(corpus) == np.concatenate([GRID[2:5], GRID[:2], GRID[5:]]).tolist()
    assert corpus.notes[-1] == "1 other files in the folder not read"
    (many := tmp_path / "many").mkdir()
    for number in (5, 2, 11, 8, 0, 3, 9, 1, 7, 4, 10, 6):
        np.save(many / f"{number:02}.npy", np.full((1, 2), number))
    assert ids(read(many)) == [[number] * 2 for number in range(12)]


def test_blank_lines_of_json_are_no_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"ids": [1]}\n\n  \n{"ids": [2]}')
    assert ids(read(tmp_path / "a.jsonl")) == [[1], [2]]


@pytest.mark.parametrize("kind", ["npy", "safetensors", "txt", "datasets"])
def test_files_stay_on_disk(tmp_path, kind):
    """What changes in the file changes in the examples: they are read when they are asked for."""
    if kind == "datasets":
        path = write_table(tmp_path, kind, {"ids": GRID.tolist()})
        file = next(path.glob("*.arrow"))
    elif kind == "txt":
        path = file = tmp_path / "a.txt"
        path.write_bytes(GRID.astype(np.uint8).tobytes())
    elif kind == "npy":
        path = file = tmp_path / "a.npy"
        np.save(path, GRID)
    else:
        from safetensors.numpy import save_file

        path = file = tmp_path / "a.safetensors"
        save_file({"ids": GRID}, path)
    corpus = read(path, length=6)
    rows = corpus.examples.rows
    assert np.shares_memory(rows.tokens(0), rows.parts[0].values)
    before = corpus.examples[0].tokens
    assert before.tolist() == GRID[0].tolist()
    stored = file.read_bytes()
    row = GRID[0].astype(np.uint8 if kind == "txt" else np.int64)
    with file.open("r+b") as handle:
        handle.seek(stored.index(row.tobytes()))
        handle.write((row[::-1].copy()).tobytes())
    assert corpus.examples[0].tokens.tolist() == GRID[0, ::-1].tolist()
    assert before.tolist() == GRID[0].tolist()  # an example is a copy, and safe to write to


def test_examples_are_made_one_at_a_time(tmp_path, monkeypatch):
    from unmask.data.arrange import Documents

    np.save(tmp_path / "a.npy", GRID)
    made = []
    at = Documents.at
    monkeypatch.setattr(Documents, "at", lambda self, i: made.append(i) or at(self, i))
    corpus = read(tmp_path / "a.npy")
    view = corpus.examples[2:7:2]
    train, held_out = corpus.split(0.25)
    assert (len(view), len(train.examples), len(held_out.examples)) == (3, 6, 2)
    assert made == []
    assert view[-1].tokens.tolist() == GRID[6].tolist()
    assert made == [6]
    with pytest.raises(IndexError):
        view[3]
