"""Documents: where they end is learnt, drawn and kept; positions are told apart from the start."""

from __future__ import annotations

import random

import pytest
import torch

import unmask
from unmask.data import read
from unmask.data.padding import Excluded
from unmask.engine import default_strategy
from unmask.errors import StrategyError
from unmask.models.checkpoint import read_card
from unmask.stopping import EndOfSequence
from unmask.training import Recipe, default_recipe, described, train
from unmask.training.material import of_corpus
from unmask.training.network import build_network

END = 256
SMALL = {
    "model_type": "megatron-bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def written(folder, rows, **options):
    path = folder / "rows.txt"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read(path, **options)


def names(count, seed=0):
    """Names of one to three syllables of two letters: short ones are frequent."""
    draw = random.Random(seed)
    return [
        "".join(draw.choice(["an", "be", "lo", "mi"]) for _ in range(draw.choice([1, 1, 1, 2, 3])))
        for _ in range(count)
    ]


def test_a_small_model_learns_where_names_end(tmp_path):
    rows = names(600)
    corpus = written(tmp_path, rows, documents=True)
    recipe = Recipe(backbone=SMALL, steps=200, batch_size=32, learning_rate=1e-2, ema_decay=0.97)
    train(corpus, tmp_path / "model", recipe=recipe)
    drawn = unmask.generate(unmask.load(tmp_path / "model"), batch_size=400, seed=0)
    texts = [corpus.vocabulary.decode(row) for row in drawn.tolist()]
    mean, own = (sum(map(len, each)) / len(each) for each in (texts, rows))
    assert mean == pytest.approx(own, rel=0.1)  # 2 standard errors of 400 names
    assert sum(text in set(rows) for text in texts) > 360
    assert max(map(len, texts)) == 6
    after = (drawn == END).long()
    assert bool((after.diff(dim=1) >= 0).all())  # nothing follows an end


def test_plain_ids_have_no_end(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"ids": [1, 2]}\n{"ids": [1]}\n' * 3)
    corpus = read(tmp_path / "a.jsonl")
    assert of_corpus(corpus, Recipe()).padding == Excluded()
    with pytest.raises(StrategyError, match="needs an end-of-sequence id"):
        of_corpus(corpus, Recipe(padding="end_of_sequence"))
    assert "no end of sequence" in described(corpus, Recipe())[-1]


def test_positions_are_told_apart_with_everything_hidden(tmp_path):
    """A network of rotary positions alone gives the same prediction at each."""
    corpus = written(tmp_path, names(40), documents=True)
    material = of_corpus(corpus, Recipe())
    hidden = unmask.Query.of(torch.full((1, material.length), material.vocabulary.mask_id))

    def spread(recipe):
        net = build_network(recipe, material, 0).eval()
        with torch.no_grad():
            rows = net.logits(net.forward(hidden, None)[0][0]).log_softmax(-1)
        return float((rows - rows[0]).abs().max())

    rotary = {"model_type": "modernbert", **{k: v for k, v in SMALL.items() if "_size" in k}}
    assert (
        spread(Recipe(backbone=rotary | {"num_hidden_layers": 2, "num_attention_heads": 4})) < 1e-5
    )
    assert spread(Recipe()) > 0.01


def test_the_default_strategy_ends_where_training_did(tmp_path):
    net = unmask.wrap(lambda t: torch.zeros(*t.shape, 4), mask_id=3, vocab_size=4, length=4)
    assert default_strategy(net).end_id is None
    corpus = written(tmp_path, names(40), documents=True)
    train(corpus, tmp_path / "m", recipe=Recipe(backbone=SMALL, steps=1))
    model = unmask.load(tmp_path / "m")
    assert default_strategy(model).stopping == (EndOfSequence(END),)
    absent = tuple(sorted(set(range(256)) - set("".join(names(40)).encode())))
    never = unmask.Constraint(forbidden=absent)  # bytes that the data has nowhere
    recommended = unmask.presets.random_order(32).but(constraint=never)
    assert default_strategy(model).but(stopping=()) == recommended
    legal = torch.ones(7, 258, dtype=torch.bool)  # which the end may not keep
    canvas = unmask.Canvas.blank(1, 7, legal=legal)
    assert default_strategy(model, canvas).end_id is None
    assert unmask.generate(model, canvas, seed=0).shape == (1, 7)
    assert read_card("shidoku").end_id is None


def test_short_examples_fill_larger_batches(tmp_path):
    assert default_recipe(written(tmp_path, names(600), documents=True)).batch_size == 16 * 21
    assert default_recipe(written(tmp_path, names(40), documents=True)).batch_size == 32
    assert default_recipe(written(tmp_path, names(5), documents=True)) == Recipe()
    assert default_recipe(written(tmp_path, names(600), length=6)) == Recipe()
    assert default_recipe(written(tmp_path, ["a" * 100] * 99, documents=True)) == Recipe()
