"""Windows and documents against a naive reference; what is held out.

L positions of a window.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.conftest import WORDS

from unmask.data import read
from unmask.data.arrange import Windows
from unmask.data.rows import Place, StoredRows, packed
from unmask.data.tokenizer import Tokenizer
from unmask.errors import DataError

TEXT = "Märchen\r\n\nEs war einmal\nein König.\n\n"


def naive_windows(rows: list[list[int]], length: int, separator: int | None) -> list[list[int]]:
    joined: list[int] = []
    for number, row in enumerate(rows):
        joined += ([separator] if number and separator is not None else []) + row
    return [joined[i : i + length] for i in range(0, len(joined) - length + 1, length)]


@given(
    st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=7), max_size=4), min_size=1),
    st.integers(1, 9),
    st.sampled_from([None, 77]),
)
def test_windows_of_joined_rows(parts, length, separator):
    rows = [row for part in parts for row in part]
    if not rows:
        return
    made = [packed([np.array(row) for row in part], range(len(part)), Place("a")) for part in parts]
    windows = Windows(StoredRows(made), length, separator)
    expected = naive_windows(rows, length, separator)
    assert [example.tokens.tolist() for example in windows] == expected
    assert all(example.maskable.all() for example in windows)


def ids(corpus):
    return [example.tokens.tolist() for example in corpus.examples]


def test_a_stream_of_ids(tmp_path):
    stream = np.arange(23, dtype=np.uint16)
    np.save(tmp_path / "a.npy", stream)
    corpus = read(tmp_path / "a.npy", length=5)
    assert ids(corpus) == stream[:20].reshape(4, 5).tolist()
    assert corpus.notes == ["23 tokens as 4 windows of 5, 3 tokens left over"]
    np.save(tmp_path / "b.npy", np.arange(300))
    assert ids(read(tmp_path / "b.npy")) == np.arange(256).reshape(2, 128).tolist()


def test_bytes_of_text_in_windows(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    corpus = read(tmp_path / "a.txt", length=8)
    raw = TEXT.encode()
    assert ids(corpus) == [list(raw[i : i + 8]) for i in range(0, len(raw) - 7, 8)]
    assert corpus.notes == [f"{len(raw)} bytes as {len(raw) // 8} windows of 8, "
                            f"{len(raw) % 8} bytes left over"]  # fmt: skip
    assert (corpus.longest, corpus.stream) == (8, True)


def test_files_of_text_are_joined_with_a_line_end(tmp_path):
    for name, text in (("a", "abc"), ("b", ""), ("c", "de")):
        (tmp_path / f"{name}.txt").write_text(text)
    corpus = read(tmp_path, length=3)
    assert ids(corpus) == [list(b"abc"), list(b"\nde")]
    assert corpus.notes[1] == "2 pieces joined with a line end between"


@pytest.mark.parametrize("given_tokenizer", [False, True])
def test_lines_of_text_as_documents(tmp_path, tokenizer, given_tokenizer, monkeypatch):
    from unmask.data import text as reader

    monkeypatch.setattr(reader, "PIECE", 7)  # line ends are looked for in pieces
    monkeypatch.setattr(reader, "LINES", 2)
    text = "the cat\r\n\nsat on\n\r\na dog"
    (tmp_path / "a.txt").write_text(text, newline="")
    lines = [line for line in text.replace("\r", "").split("\n") if line]
    chosen = tokenizer if given_tokenizer else None
    seen: list[str] = []
    encode = Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda own, t: seen.extend(t) or encode(own, t))
    corpus = read(tmp_path / "a.txt", documents=True, tokenizer=chosen)
    assert seen == (lines if given_tokenizer else [])
    expected = [list(line.encode()) for line in lines]
    if given_tokenizer:
        expected = [[WORDS.index(word) for word in line.split()] for line in lines]
    assert ids(corpus) == expected
    assert [corpus.examples.rows.describe(i).split(", ")[-1] for i in range(3)] == [
        f"line {n} (counted from 1)" for n in (1, 3, 5)
    ]


def test_text_through_a_tokenizer_in_pieces(tmp_path, tokenizer, monkeypatch):
    from unmask.data import text as reader

    text = "the cat sat on a mat\na dog sat\n" * 20
    (tmp_path / "a.txt").write_text(text)
    expected = [WORDS.index(word) for word in text.split()]
    for piece in (1 << 24, 50):
        monkeypatch.setattr(reader, "PIECE", piece)
        corpus = read(tmp_path / "a.txt", length=10, tokenizer=tokenizer)
        found = [number for window in ids(corpus) for number in window]
        assert found == expected[: len(expected) // 10 * 10]


def test_documents_are_joined_with_the_end_of_sequence(tmp_path, tokenizer):
    rows = [{"text": "the cat"}, {"text": ""}, {"text": "a dog sat"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus = read(tmp_path / "a.jsonl", length=2, tokenizer=tokenizer)
    joined = [WORDS.index(w) for w in ("the", "cat", "</s>", "a", "dog", "sat")]
    assert ids(corpus) == [joined[:2], joined[2:4], joined[4:]]
    assert corpus.notes[1:] == [
        "2 pieces joined with id 3 (end of sequence) between",
        "1 rows without text left out",
    ]


def test_rows_of_ids_are_joined_with_nothing(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"ids": [1, 2, 3]}\n{"ids": [4]}')
    corpus = read(tmp_path / "a.jsonl", length=2)
    assert ids(corpus) == [[1, 2], [3, 4]]
    assert corpus.notes[1] == "2 pieces joined with nothing between"


def test_wide_rows_of_an_array_are_cut_each_on_its_own(tmp_path):
    grid = np.arange(21).reshape(3, 7)
    np.save(tmp_path / "a.npy", grid)
    corpus = read(tmp_path / "a.npy", length=3)
    assert ids(corpus) == [row[i : i + 3].tolist() for row in grid for i in (0, 3)]
    assert corpus.notes == ["3 rows as 6 windows of 3, none across two rows, 3 tokens left over"]
    assert corpus.stream
    for length in (7, 9):
        whole = read(tmp_path / "a.npy", length=length)
        assert ids(whole) == grid.tolist()
        assert not whole.stream


@pytest.mark.parametrize("count", [2, 10, 97])
def test_of_windows_the_last_are_held_out(tmp_path, count):
    np.save(tmp_path / "a.npy", np.arange(count * 4))
    corpus = read(tmp_path / "a.npy", length=4)
    train, held_out = corpus.split(0.1)
    kept = max(1, round(count / 10))
    assert ids(train) + ids(held_out) == ids(corpus)
    assert len(held_out.examples) == kept
    assert held_out.notes[-1] == f"held out: the last {kept} of {count} examples"


def test_of_documents_a_fixed_permutation_is_held_out(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"ids": [i] * (1 + i % 3), "class": i % 5}) for i in range(100))
    )
    corpus = read(tmp_path / "a.jsonl")
    train, held_out = corpus.split(0.2)
    assert len(held_out.examples) == 20
    assert sorted(ids(train) + ids(held_out)) == sorted(ids(corpus))
    assert ids(held_out) != ids(corpus)[-20:]
    assert ids(held_out) == ids(read(tmp_path / "a.jsonl").split(0.2)[1])
    assert (train.longest, held_out.longest) == (3, 3)
    assert (train.classes, held_out.classes) == (5, 5)
    again = train.split(0.5)  # a part can be split again
    assert sorted(ids(again[0]) + ids(again[1])) == sorted(ids(train))
    assert again[0].examples[-1].category is not None


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_shares_that_cannot_be_held_out(tmp_path, share):
    np.save(tmp_path / "a.npy", np.arange(40))
    with pytest.raises(DataError, match="pass a number between 0 and 1"):
        read(tmp_path / "a.npy", length=4).split(share)


def test_a_split_leaves_something_on_both_sides(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4))
    with pytest.raises(DataError, match=r"1 example\(s\) cannot be split"):
        read(tmp_path / "a.npy", length=4).split()
