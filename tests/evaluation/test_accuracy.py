"""Class accuracy, and the ceiling that real images reach under the same judge."""

import sys

import pytest
import torch

from unmask.errors import DataError, MissingExtraError
from unmask.evaluation import class_accuracy
from unmask.tasks import digits


@pytest.fixture(scope="module")
def data():
    return digits.load()


@pytest.fixture
def judge(data):
    """class_accuracy with the digits as the real images."""

    def run(generated, labels):
        return class_accuracy(
            generated,
            labels,
            train_tokens=data.train_tokens,
            train_labels=data.train_labels,
            held_out_tokens=data.held_out_tokens,
            held_out_labels=data.held_out_labels,
        )

    return run


def test_real_images_reach_the_ceiling(data, judge):
    outcome = judge(data.held_out_tokens, data.held_out_labels)
    assert outcome.accuracy == outcome.held_out
    assert outcome.held_out >= 0.985
    assert outcome.rows == 360
    spread = (outcome.accuracy * (1 - outcome.accuracy) / 360) ** 0.5
    assert outcome.standard_error == pytest.approx(spread)


def test_wrong_labels_are_counted_as_wrong(data, judge):
    outcome = judge(data.held_out_tokens, (data.held_out_labels + 1) % 10)
    assert outcome.accuracy < 0.02
    half = data.held_out_labels.clone()
    half[::2] = (half[::2] + 1) % 10
    assert judge(data.held_out_tokens, half).accuracy == pytest.approx(0.5, abs=0.02)


def test_it_is_the_generated_rows_that_are_judged(judge):
    # The same image for every class can be right for one of them only.
    outcome = judge(torch.full((30, 64), 8), torch.arange(30) % 10)
    assert outcome.accuracy == pytest.approx(0.1)
    assert outcome.rows == 30


def test_refuses_what_cannot_be_judged(judge):
    with pytest.raises(DataError, match=r"one class per row, shape \(3,\)"):
        judge(torch.zeros(3, 64).long(), torch.zeros(4).long())
    with pytest.raises(DataError, match="nothing to judge"):
        judge(torch.zeros(0, 64).long(), torch.zeros(0).long())
    with pytest.raises(DataError, match=r"train_tokens has 64 positions, but .* have 65"):
        judge(torch.zeros(3, 65).long(), torch.zeros(3).long())
    with pytest.raises(DataError, match="integer ids"):
        judge(torch.zeros(3, 64), torch.zeros(3).long())


def test_without_scikit_learn_the_error_names_the_extra(judge, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[tasks\]'"):
        judge(torch.zeros(3, 64).long(), torch.zeros(3).long())
