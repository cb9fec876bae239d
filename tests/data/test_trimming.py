"""Padding that data was stored with changes nothing: it is cut off where it is marked, or told.

R rows, W positions of a padded one.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.conftest import WORDS
from tests.data.test_formats import RAGGED, ids, write_table

from unmask.data import check, read
from unmask.errors import DataError

TABLES = ("jsonl", "parquet", "datasets")
FORMATS = (*TABLES, "safetensors", "npz")
LIKELY = "and nowhere else; if it is padding"


def write(folder, kind, columns):
    """Columns of lists of one length (R,W), in a file of any format."""
    if kind in TABLES:
        return write_table(folder, kind, columns)
    arrays = {name: np.array(rows) for name, rows in columns.items()}
    path = folder / f"arrays.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        from safetensors.numpy import save_file

        save_file(arrays, path)
    return path


def padded(rows, lefts, width, filler):
    """Rows (n,) with so many fillers before each, and as many after as make it `width`."""
    return [
        [filler] * left + list(row) + [filler] * (width - left - len(row))
        for row, left in zip(rows, lefts, strict=True)
    ]


def told(corpus):
    """Everything that training reads of a corpus."""
    examples = [(e.tokens.tolist(), e.maskable.tolist(), e.category) for e in corpus.examples]
    return examples, corpus.vocabulary, corpus.longest, corpus.classes


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=12)
@given(data=st.data())
def test_padded_rows_are_the_rows(kind, data, tmp_path_factory):
    number = st.integers(0, 9)
    rows = data.draw(st.lists(st.lists(number, min_size=1, max_size=5), min_size=1, max_size=6))
    lefts = [data.draw(st.integers(0, 3)) for _ in rows]
    width = max(left + len(row) for left, row in zip(lefts, rows, strict=True))
    width += data.draw(st.integers(0, 2))
    filler = data.draw(st.sampled_from([0, 5, 77, -100]))
    flags = data.draw(st.sampled_from([int, bool]))
    columns = {
        "input_ids": padded(rows, lefts, width, filler),
        "attention_mask": padded([[flags(1)] * len(row) for row in rows], lefts, width, flags(0)),
    }
    plain = {"input_ids": rows}
    if kind in TABLES:
        prompts = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
        free = [[False] * n + [True] * (len(row) - n) for n, row in zip(prompts, rows, strict=True)]
        shown = [
            [token if may else -100 for token, may in zip(row, flags_, strict=True)]
            for row, flags_ in zip(rows, free, strict=True)
        ]
        beside = data.draw(st.sampled_from(["labels", "prompt", "completion_mask", "none"]))
        fillers = data.draw(st.sampled_from([-100, 3]))
        columns |= {
            "labels": {"labels": padded(shown, lefts, width, fillers)},
            "prompt": {"prompt": prompts},
            "completion_mask": {
                "completion_mask": padded([list(map(int, f)) for f in free], lefts, width, 0)
            },
            "none": {},
        }[beside]
        plain |= {} if beside == "none" else {"prompt": prompts}
        expected = told(read(write(tmp_path_factory.mktemp("plain"), kind, plain)))
    else:
        expected = ([(r, [True] * len(r), None) for r in rows],)
    corpus = read(write(tmp_path_factory.mktemp("padded"), kind, columns))
    assert told(corpus)[: len(expected)] == expected
    extra = width * len(rows) - sum(map(len, rows))
    assert f"{extra:,} positions of padding cut off, by 'attention_mask'" in corpus.notes


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_not_read_is_named(tmp_path, kind):
    rows = [[3, 1, 0], [1, 0, 0]]
    columns = {
        "input_ids": rows,
        "token_type_ids": [[0, 0, 0]] * 2,
        "attention_mask": [[1, 1, 0], [1, 0, 0]],
        "special_tokens_mask": [[0, 0, 1], [0, 1, 1]],
    }
    corpus = read(write(tmp_path, kind, columns))
    assert ids(corpus) == [[3, 1], [1]]
    (note,) = [note for note in corpus.notes if "not read" in note]
    assert note.startswith("columns not read: ")
    assert set(note.split(": ")[1].split(", ")) == {"token_type_ids", "special_tokens_mask"}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([[1, 1, 1], [1, 0, 1]], r"{row}.*position 1 .*: 0 between tokens"),
        ([[1, 1, 1], [0, 0, 0]], r"{row}.*: nothing but padding; leave the row out"),
        ([[1, 1, 1], [1, 2, 0]], r"{row}.*position 1 .*: 2 is no flag; write 1 or 0"),
    ],
)
def test_masks_that_cannot_be_kept_are_refused(tmp_path, kind, mask, words):
    row = r"line 2 \(counted from 1\)" if kind == "jsonl" else r"row 1 \(counted from 0\)"
    path = write(tmp_path, kind, {"ids": [[3, 1, 4], [1, 5, 9]], "attention_mask": mask})
    with pytest.raises(DataError, match=words.format(row=row)):
        read(path)


def test_masks_of_another_shape_are_refused(tmp_path):
    for kind in TABLES:
        columns = {"ids": [[3, 1, 4], [1]], "attention_mask": [[1, 1, 1], [1, 0]]}
        with pytest.raises(DataError, match="'attention_mask': 2 flags of 1 tokens"):
            read(write(tmp_path, kind, columns))
    for kind in ("npz", "safetensors"):
        columns = {"ids": [[3, 1, 4], [1, 5, 9]], "attention_mask": [[1, 1], [1, 0]]}
        with pytest.raises(DataError, match="'attention_mask' has not the shape of 'ids'"):
            read(write(tmp_path, kind, columns))


@pytest.mark.parametrize("chunk", [1 << 22, 3])
@pytest.mark.parametrize("kind", FORMATS)
def test_ids_of_padding_are_not_checked_and_places_are_those_of_the_file(
    tmp_path, monkeypatch, kind, chunk
):
    monkeypatch.setattr(check, "CHUNK", chunk)
    columns = {
        "ids": [[-100, -100, 3, 1], [-100, 4, 90, 2]],
        "attention_mask": [[0, 0, 1, 1], [0, 1, 1, 1]],
    }
    path = write(tmp_path, kind, columns)
    assert read(path).vocabulary.size == 91
    with pytest.raises(DataError, match=r"position 2 \(counted from 0\): id 90 is not below 50"):
        read(path, vocab_size=50)


def test_masked_rows_stay_on_disk(tmp_path):
    columns = {"ids": [[7, 8, 9, 0]] * 4, "attention_mask": [[1, 1, 1, 0]] * 4}
    path = write(tmp_path, "datasets", columns)
    rows = read(path).examples.rows
    assert np.shares_memory(rows.tokens(0), rows.parts[0].values)
    assert len(rows.parts[0].values) == 8  # of two files, each with its padding


def test_windows_join_the_rows_without_their_padding(tmp_path):
    columns = {"ids": [[1, 2, 3, 0], [4, 0, 0, 0]], "attention_mask": [[1, 1, 1, 0], [1, 0, 0, 0]]}
    assert ids(read(write(tmp_path, "parquet", columns), length=2)) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("kind", [*FORMATS, "npy"])
@pytest.mark.parametrize("left", [0, 1])
def test_a_tokenizers_padding_is_cut_off_without_a_mask(tmp_path, tokenizer, kind, left):
    rows = [[WORDS.index(word) for word in text.split()] for text in ("the cat sat", "a dog")]
    width = 4 + left
    table = padded(rows, [left] * 2, width, WORDS.index("[PAD]"))
    if kind == "npy":
        np.save(path := tmp_path / "a.npy", np.array(table))
    else:
        path = write(tmp_path, kind, {"ids": table})
    corpus = read(path, tokenizer=tokenizer)
    assert ids(corpus) == rows
    assert corpus.notes[1] == f"{2 * width - 5} positions of the tokenizer's padding token cut off"
    assert not any(LIKELY in note for note in corpus.notes)


@pytest.mark.parametrize("kind", [*FORMATS, "npy"])
@pytest.mark.parametrize("lefts", [False, True])
def test_likely_padding_without_a_mask_is_told(tmp_path, kind, lefts):
    before = [5 - len(row) for row in RAGGED] if lefts else [0] * 4
    table = padded(RAGGED, before, 5, 7)
    if kind == "npy":
        np.save(path := tmp_path / "a.npy", np.array(table))
    else:
        path = write(tmp_path, kind, {"ids": table})
    corpus = read(path)
    assert ids(corpus) == table
    side = "beginning" if lefts else "end"
    assert f"id 7 is at the {side} of 4 rows, 10 times, {LIKELY}" in corpus.notes[1]


def test_ends_that_are_no_padding_are_not_told(tmp_path):
    for number, table in enumerate(
        [
            [[1, 7, 7], [2, 3, 7], [7, 4, 7]],  # inside a row, too
            [[1, 7, 7], [2, 7, 7]],  # as often in each row
            [[1, 2, 7], [2, 3, 4]],  # once
            [[7, 7, 7], [7, 7, 7]],
        ]
    ):
        np.save(path := tmp_path / f"{number}.npy", np.array(table))
        assert len(read(path).notes) == 1, table


def test_archives_of_numpy(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, codes=np.arange(6).reshape(2, 3), other=np.arange(2))
    assert ids(read(path, column="codes")) == [[0, 1, 2], [3, 4, 5]]
    assert read(path, column="codes").notes[1] == "columns not read: other"
    with pytest.raises(DataError, match=r"holds 2 arrays \(codes, other\): name one"):
        read(path)
    np.savez(path, np.array([None, {}], dtype=object))
    with pytest.raises(DataError, match="holds Python objects"):
        read(path)
    np.savez(path, np.arange(1000))
    whole = path.read_bytes()
    for end in (len(whole) // 2, 50, 0):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"not a complete archive|cut short|no array at all"):
            read(path)
    path.write_bytes(whole[:200] + b"xx" + whole[202:])  # an entry that is damaged
    with pytest.raises(DataError, match="not a complete archive"):
        read(path)
