"""Byte-level BPE trained on the data: `tokenizer="bpe:N"`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unmask
from unmask.data import Corpus, read
from unmask.errors import DataError, InputError
from unmask.training import Recipe, train
from unmask.training.recipe import DataOptions

LINE = "the quick brown fox jumps over the lazy dog; a fox is no dog.\n"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "book.txt"
    path.write_text(LINE * 90 + "zyxxyzzy zyxxyzzy\n" * 34)
    return path


@pytest.fixture(scope="module")
def corpus(book: Path) -> Corpus:
    return read(book, tokenizer="bpe:300", length=16)


def words(corpus: Corpus) -> dict[str, int]:
    folder = Path(str(corpus.vocabulary.tokenizer))
    found: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return found


def test_rows_spell_the_text(corpus: Corpus) -> None:
    assert 258 < corpus.vocabulary.size <= 300
    assert corpus.vocabulary.total == corpus.vocabulary.size  # the mask is one of them
    joined = [token for example in corpus.examples for token in example.tokens.tolist()]
    assert LINE * 3 in corpus.vocabulary.decode(joined)
    assert len(joined) < len(LINE) * 90 / 2


def test_held_out_text_makes_no_token(corpus: Corpus) -> None:
    found = words(corpus)
    assert "Ġfox" in found
    assert not [word for word in found if "xy" in word or "zz" in word]


@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(corpus: Corpus, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert corpus.vocabulary.decode(corpus.vocabulary.encode(text)) == text


def test_tokens_that_the_data_has_nowhere_are_absent(corpus: Corpus) -> None:
    seen = {token for example in corpus.examples for token in example.tokens.tolist()}
    absent = {*corpus.vocabulary.absent}
    assert not seen & absent
    special = {corpus.vocabulary.mask_id, corpus.vocabulary.eos_id}
    left_over = {*range(corpus.vocabulary.size)} - seen - absent - special
    assert len(left_over) <= 16  # of the tokens behind the last window


def test_another_process_trains_the_same(book: Path, corpus: Corpus) -> None:
    code = (
        "import sys; from pathlib import Path; from unmask.data import read; "
        "folder = read(sys.argv[1], tokenizer='bpe:300').vocabulary.tokenizer; "
        "print((Path(folder) / 'tokenizer.json').read_text()); print(folder)"
    )
    command = [sys.executable, "-c", code, str(book)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    text, folder = run.stdout.rstrip("\n").rsplit("\n", 1)
    assert json.loads(text)["model"]["vocab"] == words(corpus)
    assert not Path(folder).exists()  # with the process


def test_a_mask_takes_the_space_before_it(corpus: Corpus) -> None:
    vocabulary = corpus.vocabulary
    whole = vocabulary.encode("the quick fox jumps")
    around = vocabulary.encode("the quick [MASK] jumps")
    assert [vocabulary.mask_id if token == words(corpus)["Ġfox"] else token for token in whole] == (
        around
    )


def test_documents_learn_an_end(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text(LINE * 20)
    corpus = read(path, tokenizer="bpe:280", documents=True)
    assert corpus.vocabulary.eos_id is not None
    assert len(corpus.examples) == 20


def test_a_model_has_its_tokenizer(tmp_path: Path, book: Path, corpus: Corpus) -> None:
    backbone = {
        "model_type": "modernbert",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    data = DataOptions(tokenizer="bpe:300", length=16)
    recipe = Recipe(backbone=backbone, steps=3, samples=0, held_out_rows=0, data=data)
    train(corpus, tmp_path / "model", recipe=recipe)
    text = unmask.TextModel.load(tmp_path / "model")
    (found,) = text.fill("the quick [MASK:3] fox", seed=1)
    assert found.sequence.startswith("the quick")
    drawn = unmask.generate(unmask.load(tmp_path / "model"), batch_size=8, length=16, seed=0)
    assert not {*drawn.flatten().tolist()} & {*corpus.vocabulary.absent}


@pytest.mark.parametrize("asked", ["bpe:", "bpe:many", "bpe:257", "bpe:-1"])
def test_numbers_of_ids_that_cannot_be(book: Path, asked: str) -> None:
    with pytest.raises(DataError, match="bpe:4096"):
        read(book, tokenizer=asked)


def test_ids_are_no_text(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(400) % 7)
    with pytest.raises(DataError, match="trained on text"):
        read(tmp_path / "ids.npy", tokenizer="bpe:300")


def test_a_recipe_of_another_tokenizer_is_refused(book: Path, corpus: Corpus) -> None:
    recipe = Recipe(steps=1, data=DataOptions(tokenizer="bpe:400"))
    with pytest.raises(InputError, match=r"data\.tokenizer"):
        train(corpus, book.with_name("out"), recipe=recipe)
