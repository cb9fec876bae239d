"""Recipes by name, and what a run of text tells."""

import pytest

import unmask
from unmask.data import read
from unmask.training import RECIPES, Recipe, read_settings, train

TEXT = "the quick brown fox jumps over the lazy dog. "
TINY = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16}  # fmt: skip


@pytest.fixture(autouse=True)
def book(call, tmp_path):
    (tmp_path / "book.txt").write_text(TEXT * 200)


def test_a_bundled_recipe_by_its_name(call, trained):
    line = ("train", "--data", "book.txt", "--recipe", "shakespeare")
    call(*line, "--json")
    assert trained[0]["recipe"] == RECIPES["shakespeare"]
    call(*line, "--steps", 7, "--set", "data.length=32", "--json")
    changed = trained[1]["recipe"]
    assert (changed.steps, changed.data.length) == (7, 32)
    assert changed.backbone == RECIPES["shakespeare"].backbone
    assert changed.data.tokenizer == "bpe:4096"


def test_a_file_of_that_name_comes_first(call, trained, tmp_path):
    (tmp_path / "shakespeare").write_text("steps: 3\n")
    told = call("train", "--data", "book.txt", "--recipe", "shakespeare").error()
    assert "a recipe is a file ending in" in told


def test_init_writes_it(call, tmp_path):
    said = call("init", "mine.yaml", "--task", "shakespeare").out
    assert "unmask train --data YOUR-DATA --recipe mine.yaml" in said
    assert read_settings(Recipe, tmp_path / "mine.yaml").settled() == RECIPES["shakespeare"]


@pytest.mark.parametrize("tokenizer", [None, "bpe:280"])
def test_bits_per_character(tmp_path, tokenizer):
    corpus = read(tmp_path / "book.txt", length=16, tokenizer=tokenizer)
    recipe = Recipe(backbone=TINY, steps=2, samples=0, held_out_rows=0)
    figures = train(corpus, tmp_path / "model", recipe=recipe)
    rows = [example.tokens.tolist() for example in corpus.split()[1].examples]
    characters = sum(len(corpus.vocabulary.decode(row)) for row in rows)
    ratio = figures["bits_per_token"] / figures["bits_per_character"]
    assert ratio == pytest.approx(characters / sum(map(len, rows)))
    assert (ratio == 1) == (tokenizer is None)
    facts = unmask.models.checkpoint.read_card(tmp_path / "model").about["figures"]
    assert facts["bits_per_character"] == figures["bits_per_character"]


def test_ids_have_no_characters(tmp_path):
    import numpy as np

    np.save(tmp_path / "ids.npy", np.arange(4000) % 7)
    recipe = Recipe(backbone=TINY, steps=2, samples=0, held_out_rows=0)
    figures = train(read(tmp_path / "ids.npy", length=16), tmp_path / "model", recipe=recipe)
    assert "bits_per_character" not in figures
