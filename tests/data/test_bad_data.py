"""Data that cannot be used is refused with its file, row and position, and what to do."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from tests.data.test_formats import GRID, RAGGED, write_lines, write_table

from unmask.data import arrays, check, read
from unmask.errors import DataError, MissingExtraError

KINDS = pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
ROW = {"jsonl": r"line {} \(counted from 1\)"}


def row(kind, index):
    """What the row of an index is called."""
    return f"line {index + 1} \\(counted from 1\\)" if kind == "jsonl" else (
        f"row {index} \\(counted from 0\\)"
    )  # fmt: skip


def refused(path, told, **options):
    with pytest.raises(DataError, match=f"(?s){told}") as caught:
        read(path, **options)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("chunk", [1 << 22, 5])
def test_ids_out_of_range_in_arrays(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(check, "CHUNK", chunk)
    grid = GRID.copy()
    grid[5, 3], grid[6, 2] = 99, -4
    np.save(tmp_path / "a.npy", grid)
    negative = r"row 6 \(counted from 0\), position 2 \(counted from 0\): id -4 is negative"
    refused(tmp_path / "a.npy", negative)
    grid[6, 2] = 4
    np.save(tmp_path / "a.npy", grid)
    high = r"row 5 \(counted from 0\), position 3 \(counted from 0\): id 99 is not below 13; .*100"
    refused(tmp_path / "a.npy", high, vocab_size=13)
    assert read(tmp_path / "a.npy", vocab_size=100).vocabulary.size == 100
    np.save(tmp_path / "b.npy", np.arange(20))
    refused(tmp_path / "b.npy", r"b\.npy, position 7 .*: id 7 is not below 7", vocab_size=7)
    assert read(tmp_path / "a.npy").vocabulary.size == 100


@KINDS
def test_ids_out_of_range_in_tables(tmp_path, kind):
    path = write_table(tmp_path, kind, {"ids": RAGGED})
    where = rf"{row(kind, 2)}, column 'ids', position 1 \(counted from 0\): id 9 is not below 9"
    refused(path, where, vocab_size=9)
    path = write_table(tmp_path, kind, {"codes": [[1], [2, -3]]})
    where = rf"{row(kind, 1)}, column 'codes', position 1 \(counted from 0\): id -3 is negative"
    refused(path, where, column="codes")


def test_padding_of_labels_is_no_id(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, -100]]))
    refused(tmp_path / "a.npy", "a prompt is marked in a column 'labels' or 'prompt'")


@pytest.mark.parametrize("dtype", ["float32", "bool", "complex64", "U3", "M8[s]", "i4,i4"])
def test_arrays_of_other_dtypes(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((2, 3), dtype=dtype))
    refused(tmp_path / "a.npy", "ids of dtype .*store integers")


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (), (2, 2, 2, 2)])
def test_arrays_of_other_shapes(tmp_path, shape):
    from safetensors.numpy import save_file

    array = np.zeros(shape, dtype=np.int32)
    np.save(tmp_path / "a.npy", array)
    save_file({"a": array}, tmp_path / "a.safetensors")
    told = "holds no ids" if array.size == 0 else r"of shape .*pass \(rows, positions\)"
    refused(tmp_path / "a.npy", told)
    refused(tmp_path / "a.safetensors", told)


def test_npy_files_that_are_none(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, GRID)
    whole = path.read_bytes()
    for end in (len(whole) - 1, len(whole) // 2, 50, 3, 0):
        path.write_bytes(whole[:end])
        refused(path, "cut short|no array at all")
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, f"cut short at {len(whole) // 2} bytes")
    path.write_bytes(b"hello, this is a text" * 9)
    refused(path, "no array at all")
    np.savez(tmp_path / "b.npz", GRID)
    (tmp_path / "b.npz").rename(path)
    refused(path, "archive of several arrays")


class Trap:
    """Fails the test if it is ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([Trap(), None], dtype=object), allow_pickle=True)
    refused(path, "holds Python objects")
    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "holds Python objects")


def test_safetensors_files_that_are_none(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file({"ids": GRID}, path)
    whole = path.read_bytes()
    for broken in (
        whole[:-1],
        whole[:20],
        whole[:4],
        b"",
        b"x" * 100,
        whole[:8] + b"!" + whole[9:],
    ):
        path.write_bytes(broken)
        refused(path, "not a complete safetensors file")


def test_a_tensor_is_named_where_there_are_several(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file({"codes": GRID, "weights": GRID.astype(np.float32)}, path)
    refused(path, r"holds 2 tensors \(codes, weights\): name one, column='codes'")
    refused(path, "no tensor 'code': did you mean 'codes'", column="code")
    refused(path, "tensor 'weights': ids of dtype F32; store integers", column="weights")
    save_file({}, path)
    refused(path, "holds 0 tensors")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"ids": [1, 2}', r"line 3 \(counted from 1\), column 14: not JSON"),
        ("[1, 2]", r"line 3 \(counted from 1\): list instead of an object"),
        ('{"ids": null}', r"line 3 .*column 'ids': nothing instead of a list of ids"),
        ('{"other": 1}', "line 3 .*column 'ids': nothing instead of a list"),
        ('{"ids": 5}', "line 3 .*5 instead of a list of ids"),
        ('{"ids": "ab"}', "line 3 .*'ab' instead of a list of ids"),
        ('{"ids": []}', "line 3 .*a row without ids"),
        ('{"ids": [1, null]}', r"line 3 .*position 1 \(counted from 0\): None instead of an id"),
        ('{"ids": [1, 2, 3.0]}', "line 3 .*position 2 .*3.0 instead of an id"),
        ('{"ids": [true, false]}', "line 3 .*position 0 .*True instead of an id"),
        ('{"ids": [1, true]}', "line 3 .*position 1 .*True instead of an id"),
        ('{"ids": ["1"]}', "line 3 .*position 0 .*'1' instead of an id"),
        ('{"ids": [1, [2, 3]]}', r"line 3 .*position 1 .*\[2, 3\] instead of an id"),
        ('{"ids": [[1, 2], [3, 4]]}', r"line 3 .*position 0 .*\[1, 2\] instead of an id"),
        ('{"ids": [18446744073709551615]}', "line 3 .*18446744073709551615 instead of an id"),
        ('{"ids": [1' + "0" * 30 + "]}", "line 3 .*instead of an id"),
    ],
)
def test_lines_of_json_that_do_not_fit(tmp_path, line, told):
    path = tmp_path / "a.jsonl"
    path.write_text('{"ids": [1]}\n\n' + line + "\n")
    refused(path, told)


def test_text_that_is_none(tmp_path, tokenizer):
    path = write_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"text": None}])
    refused(path, r"line 2 .*column 'text': nothing instead of text")
    write_lines(path, [{"text": "a"}, {"text": 3}])
    refused(path, r"line 2 .*column 'text': 3 instead of text")
    for chosen in (None, tokenizer):
        write_lines(path, [{"text": "a"}, {"text": "b\ud800"}])
        refused(path, r"line 2 .*half a character", tokenizer=chosen)
    path = tmp_path / "b.txt"
    path.write_bytes(b"fine\nnot \xff fine")
    refused(path, "line 2, byte 4 .*store UTF-8", tokenizer=tokenizer)
    refused(path, "line 2, byte 4 .*store UTF-8", tokenizer=tokenizer, documents=True)
    (path := tmp_path / "c.jsonl").write_bytes(b'{"text": "\xff"}')
    refused(path, "line 1, byte 10 .*store UTF-8")


@pytest.mark.parametrize("kind", ["parquet", "datasets"])
def test_arrow_columns_that_do_not_fit(tmp_path, kind):
    for values, told in [
        ([[1], None], r"row 1 \(counted from 0\), column 'ids': nothing instead of a list"),
        ([[1], [2, 3, None]], r"row 1 .*position 2 \(counted from 0\): nothing instead of an id"),
        ([[1], []], "row 1 .*a row without ids"),
        ([[1.0], [2.0]], "column 'ids': ids of type double"),
        ([[True], [False]], "column 'ids': ids of type bool"),
        ([["a"], ["b"]], "column 'ids': ids of type (large_)?string"),
        ([[[1]], [[2]]], "column 'ids': ids of type (large_)?list"),
        ([1, 2], "values of type int64 instead of lists"),
    ]:
        (folder := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        refused(write_table(folder, kind, {"ids": values}), told)


def test_parquet_files_that_are_none(tmp_path):
    path = write_table(tmp_path, "parquet", {"ids": RAGGED})
    whole = path.read_bytes()
    for end in (len(whole) - 4, len(whole) // 2, 10, 0):
        path.write_bytes(whole[:end])
        refused(path, "not a complete parquet file")
    # a footer that is whole, over pages that are not
    path.write_bytes(whole[:4] + b"\xff" * 60 + whole[64:])
    refused(path, "not a complete parquet file")


def test_datasets_folders_that_are_none(tmp_path):
    path = write_table(tmp_path, "datasets", {"ids": RAGGED})
    arrow = sorted(path.glob("*.arrow"))[0]
    whole = arrow.read_bytes()
    arrow.write_bytes(whole[: len(whole) // 3])
    refused(path, "not a complete datasets folder")
    arrow.write_bytes(whole)
    (path / "state.json").write_text("{")
    refused(path, "not a complete datasets folder")
    (path / "state.json").write_text("{}")
    refused(path, "not a complete datasets folder")


def test_a_split_is_asked_for(tmp_path):
    from datasets import Dataset, DatasetDict

    part = Dataset.from_dict({"ids": RAGGED})
    DatasetDict({"train": part, "test": part}).save_to_disk(str(tmp_path / "d"))
    refused(tmp_path / "d", r"several splits \(test, train\): pass one, such as .*d.train")
    assert len(read(tmp_path / "d" / "train").examples) == 4


@KINDS
def test_columns_that_are_not_there(tmp_path, kind):
    path = write_table(tmp_path, kind, {"code": RAGGED, "words": ["a"] * 4})
    refused(path, "has no column 'codes': did you mean 'code'", column="codes")
    refused(path, "no column input_ids, tokens, ids or text, but code, words: .*column='code'")


def test_options_that_do_not_apply(tmp_path):
    np.save(tmp_path / "a.npy", GRID)
    refused(tmp_path / "a.npy", "column='ids': .* has no columns", column="ids")
    (tmp_path / "b.txt").write_text("abcdef")
    refused(tmp_path / "b.txt", "column='text': .* is text and has no columns", column="text")
    with pytest.raises(DataError, match=r"vocab_size=300: .*bytes, of which there are 256"):
        read(tmp_path / "b.txt", length=2, vocab_size=300)
    for name in ("length", "vocab_size"):
        for value, told in [(0, "pass 1 or more"), (2.0, "whole number"), (True, "whole number")]:
            with pytest.raises(DataError, match=f"{name}={value}: pass.*{told.split()[-1]}"):
                read(tmp_path / "a.npy", **{name: value})


def test_documents_that_are_too_long(tmp_path):
    np.save(tmp_path / "a.npy", GRID)
    told = r"row 0 \(counted from 0\): 6 tokens, over length=5: pass length=6 \(--length 6\)"
    refused(tmp_path / "a.npy", told, length=5, documents=True)
    assert len(read(tmp_path / "a.npy", length=6, documents=True).examples) == 8
    path = write_lines(tmp_path / "b.jsonl", [{"ids": [1]}, {"ids": [1, 2]}, {"ids": [1] * 5}])
    refused(path, r"line 2 .*2 tokens, over length=1: .*--length 5.*windows", length=1,
            documents=True)  # fmt: skip
    np.save(tmp_path / "c.npy", np.arange(9))
    refused(tmp_path / "c.npy", "stream and has no documents", documents=True)


def test_streams_shorter_than_a_window(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(57))
    with pytest.raises(DataError, match=r"57 tokens are fewer than one window of 128.*length=57"):
        read(tmp_path / "a.npy")


def test_files_without_anything(tmp_path):
    (tmp_path / "a.txt").write_text("")
    refused(tmp_path / "a.txt", "holds nothing to read")
    (tmp_path / "b.txt").write_text("\n\r\n\n")
    refused(tmp_path / "b.txt", "holds nothing to read", documents=True)
    (tmp_path / "c.jsonl").write_text("\n\n")
    refused(tmp_path / "c.jsonl", "is empty: write one JSON object a line")
    refused(write_lines(tmp_path / "d.jsonl", [{"text": ""}]), "holds nothing to read")
    (tmp_path / "e").mkdir()
    refused(tmp_path / "e", "holds no file that can be read; pass .jsonl, .npy")
    refused(write_table(tmp_path, "parquet", {"ids": []}), "holds nothing to read|values of type")


def test_paths_that_stand_for_nothing(tmp_path):
    refused(tmp_path / "none.npy", "no such file or folder; pass .jsonl, .npy, .parquet")
    (tmp_path / "a.csv").write_text("1,2")
    refused(tmp_path / "a.csv", "files ending in '.csv' are not read; pass .jsonl, .npy")
    (tmp_path / "b.npy").write_text("1,2")
    (tmp_path / "b.txt").write_text("1,2")
    refused(tmp_path, r"files of several kinds \(.npy, .txt\)")


def test_files_that_do_not_go_together(tmp_path):
    np.save(tmp_path / "a.npy", GRID)
    np.save(tmp_path / "b.npy", np.arange(9))
    refused(tmp_path, "one is a stream .*the other has rows")
    for name in "ab":
        (tmp_path / f"{name}.npy").unlink()
    write_lines(tmp_path / "a.jsonl", [{"ids": [1]}])
    write_lines(tmp_path / "b.jsonl", [{"text": "a"}])
    refused(tmp_path, "one holds text, the other ids")


@pytest.mark.parametrize(
    ("library", "kind", "extra"),
    [
        ("pyarrow", "parquet", "train"),
        ("datasets", "datasets", "train"),
        ("safetensors", "safetensors", "hf"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, library, kind, extra):
    if kind == "safetensors":
        path = tmp_path / "a.safetensors"
        path.write_bytes(b"")
    else:
        path = write_table(tmp_path, kind, {"ids": RAGGED})
    for name in (library, "pyarrow.parquet") if library == "pyarrow" else (library,):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{library}: pip install 'unmask\[{extra}\]'"):
        read(path)


def test_every_integer_type_of_safetensors_is_known():
    for name, code in arrays.INTEGERS.items():
        assert np.dtype(code).itemsize * 8 == int(name[1:])
        assert np.dtype(code).kind == name[0].lower()


def test_messages_of_json_are_those_of_the_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([json.dumps({"ids": [1]})] * 5000 + ["{"]))
    refused(path, r"line 5001 \(counted from 1\)")
