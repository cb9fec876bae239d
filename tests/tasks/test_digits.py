"""scikit-learn's digits as tokens under the fixed split."""

import sys

import numpy as np
import pytest
import torch

from unmask.errors import MissingExtraError
from unmask.tasks import digits


@pytest.fixture(scope="module")
def data():
    return digits.load()


def test_shapes_and_ranges(data):
    assert data.train_tokens.shape == (1437, 64)
    assert data.held_out_tokens.shape == (360, 64)
    for tokens in (data.train_tokens, data.held_out_tokens):
        assert tokens.dtype == torch.long
        assert tokens.min() == 0
        assert tokens.max() == digits.LEVELS - 1
    for labels in (data.train_labels, data.held_out_labels):
        assert labels.dtype == torch.long
        assert labels.unique().tolist() == list(range(digits.CLASSES))


def test_split_is_the_fixed_permutation(data):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    images = bunch.images.reshape(1797, 64)[order]
    assert (data.train_tokens.numpy() == images[:1437]).all()
    assert (data.held_out_tokens.numpy() == images[1437:]).all()
    assert (data.train_labels.numpy() == bunch.target[order[:1437]]).all()
    assert (data.held_out_labels.numpy() == bunch.target[order[1437:]]).all()


def test_the_vocabulary_leaves_no_gap_and_no_overlap():
    levels = list(range(digits.LEVELS))
    assert [*levels, digits.MASK_ID] == list(range(digits.VOCAB))


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[tasks\]'"):
        digits.load()
