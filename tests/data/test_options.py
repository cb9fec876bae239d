"""An option of `read` is honoured or refused, whatever the format: none is accepted and ignored."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.conftest import WORDS
from tests.data.test_formats import write_table

from unmask.data import read
from unmask.data.padding import EndFill, Excluded
from unmask.errors import DataError
from unmask.training import Recipe
from unmask.training.material import of_corpus

GRID = 5 + np.arange(48).reshape(12, 4) % 7  # ids of words
TEXTS = [" ".join(WORDS[number] for number in row) for row in GRID]
TABLES = ("jsonl", "parquet", "datasets")
KINDS = ("stream", "rows", "images", "npz", "safetensors", "txt",
         *TABLES, *(f"text in {kind}" for kind in TABLES))  # fmt: skip
VALUES = {
    "tokenizer": st.just(True),
    "vocab_size": st.sampled_from([5, 12, 256, 257, 300]),
    "column": st.just("other"),
    "length": st.sampled_from([1, 3, 4, 40]),
    "documents": st.just(True),
    "shape": st.sampled_from([(2, 2), (1, 4), (3, 3)]),
}
HONOURED = {
    "tokenizer": lambda corpus, value: corpus.vocabulary.tokenizer == str(value),
    "vocab_size": lambda corpus, value: corpus.vocabulary.size == value,
    "column": lambda corpus, value: corpus.examples[0].tokens[0] not in (5, ord("t")),
    "length": lambda corpus, value: corpus.longest <= value,
    "documents": lambda corpus, value: corpus.documents and not corpus.stream,
    "shape": lambda corpus, value: corpus.shape == value,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of every kind; the column or array `other` begins with another word."""
    folder = tmp_path_factory.mktemp("files")
    found = {kind: folder / f"{kind}.npy" for kind in ("stream", "rows", "images")}
    np.save(found["stream"], np.resize(GRID, 200))
    np.save(found["rows"], GRID)
    np.save(found["images"], GRID.reshape(12, 2, 2))
    other = GRID[1:]
    from safetensors.numpy import save_file

    np.savez(folder / "a.npz", ids=GRID, other=other)
    save_file({"ids": GRID, "other": other.copy()}, folder / "a.safetensors")
    (folder / "a.txt").write_text("\n".join(TEXTS))
    found |= {kind: folder / f"a.{kind}" for kind in ("npz", "safetensors", "txt")}
    for kind in TABLES:
        ids = {"ids": GRID[:-1].tolist(), "other": other.tolist()}
        text = {"text": TEXTS[:-1], "other": TEXTS[1:]}
        for name, columns in ((kind, ids), (f"text in {kind}", text)):
            (folder / name).mkdir()
            found[name] = write_table(folder / name, kind, columns)
    return found


def test_every_option_is_here():
    assert list(inspect.signature(read).parameters)[1:] == list(VALUES) == list(HONOURED)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(options=st.fixed_dictionaries({}, optional=VALUES))
def test_options_are_honoured_or_refused(files, tokenizer, kind, options):
    if "tokenizer" in options:
        options = {**options, "tokenizer": tokenizer}
    try:
        corpus = read(files[kind], **options)
    except DataError:
        return
    for name, value in options.items():
        assert HONOURED[name](corpus, value), (name, value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vocab_size": 256, "documents": True}, "there are 256, and an end; leave it out"),
        ({"documents": "yes"}, "documents='yes': pass True or False"),
        ({"shape": 5}, r"shape=5: pass height and width of an image, such as \[28, 28\]"),
    ],
)
def test_options_that_were_ignored_or_broke(files, options, told):
    with pytest.raises(DataError, match=told):
        read(files["txt"], **options)


@pytest.mark.parametrize(
    ("rows", "inner"),
    [
        ([["the", "cat", "</s>"], ["dog"]], 0),
        ([["the", "</s>", "</s>"], ["dog"]], 0),  # filled up to a length
        ([["the", "</s>", "dog", "</s>"], ["dog"]], 1),
        ([["</s>", "the", "dog"], ["</s>", "a"], ["dog"]], 2),
    ],
)
def test_ends_are_taught_by_an_id_only_if_it_is_at_ends_alone(tmp_path, tokenizer, rows, inner):
    ids = [[WORDS.index(word) for word in row] for row in rows]
    corpus = read(write_table(tmp_path, "jsonl", {"ids": ids}), tokenizer=tokenizer)
    told = (
        "go on after id 3" if not inner else f"{inner} examples go on after id 3 (end of sequence)"
    )
    assert sum(told in note for note in corpus.notes) == (inner > 0)
    assert of_corpus(corpus, Recipe()).padding == (Excluded() if inner else EndFill(3))
    assert of_corpus(corpus, Recipe(padding="end_of_sequence")).padding == EndFill(3)


def test_ends_in_a_prompt_end_no_document(tmp_path, tokenizer):
    columns = {"ids": [[5, 3, 6, 3], [3, 7]], "prompt": [2, 1]}
    corpus = read(write_table(tmp_path, "jsonl", columns), tokenizer=tokenizer)
    assert of_corpus(corpus, Recipe()).padding == EndFill(3)
