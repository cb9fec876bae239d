"""A model of a chain whose entropy is known: its held-out bound comes within 1 % and not below."""

from itertools import product

import numpy as np
import pytest
import torch

import unmask
from unmask.data import Corpus, Example, Vocabulary
from unmask.data.corpus import Lazy
from unmask.scoring import Bound, score
from unmask.training import Recipe, train

STATES, LENGTH, HELD_OUT = 3, 6, 3000
MOVE = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]])
START = np.array([0.5, 0.3, 0.2])


def law():
    """Probability of every sequence, and the sequences."""
    every = np.array(list(product(range(STATES), repeat=LENGTH)))
    p = START[every[:, 0]]
    for i in range(1, LENGTH):
        p = p * MOVE[every[:, i - 1], every[:, i]]
    return p, every


class Chain(Lazy):
    """Sequences of the chain, each drawn from its index."""

    def __init__(self, size):
        p, every = law()
        drawn = np.random.default_rng(0).choice(len(p), size=size, p=p / p.sum())
        self.tokens = torch.from_numpy(every[drawn])

    def __len__(self):
        return len(self.tokens)

    def at(self, index):
        row = self.tokens[index]
        return Example(row, torch.ones_like(row, dtype=torch.bool))


def test_the_bound_is_the_entropy_within_one_percent(tmp_path):
    torch.set_num_threads(1)
    p, _ = law()
    assert p.sum() == pytest.approx(1)
    entropy = float(-(p * np.log(p)).sum()) / LENGTH
    corpus = Corpus(Chain(40_000), Vocabulary.of_ids(STATES), longest=LENGTH)
    recipe = Recipe(
        backbone={
            "model_type": "megatron-bert",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        steps=700,
        batch_size=128,
        learning_rate=5e-3,
        weight_decay=0.0,
        ema_decay=0.99,
    )
    train(corpus, tmp_path / "chain", recipe=recipe)
    fresh = Chain(50_000).tokens[40_000:][:HELD_OUT]
    found = score(unmask.load(tmp_path / "chain"), fresh, by=Bound(samples=32))
    assert found.nats_per_token <= 1.01 * entropy
    assert found.nats_per_token >= entropy - 4 * found.standard_error
