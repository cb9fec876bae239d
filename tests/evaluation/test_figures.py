"""Shares and their errors, which are never 0: all rows of a sample may hit, and not all rows."""

import pytest
import torch

import unmask
from unmask.errors import DataError
from unmask.evaluation import evaluate, two_sample
from unmask.evaluation.figures import share, share_error


@pytest.mark.parametrize("count", [1, 2, 10, 500])
def test_the_error_of_a_share_is_binomial_and_never_0(count):
    errors = [share_error(hits / count, count) for hits in range(count + 1)]
    assert errors[1:-1] == pytest.approx(
        [(p * (1 - p) / count) ** 0.5 for p in (hits / count for hits in range(1, count))]
    )
    assert errors[0] == errors[-1] == pytest.approx(1 / (count + 1))
    assert errors == pytest.approx(errors[::-1])
    assert errors[0] == min(errors) > 0


@pytest.mark.parametrize("hit", [True, False])
def test_a_bench_in_which_all_or_none_hit_has_an_error(hit):
    figure = share(torch.full((9,), hit), torch.arange(9))
    assert (figure.value, figure.error, figure.forwards) == (float(hit), pytest.approx(0.1), 4.0)


def test_samples_that_are_always_told_apart_have_an_error():
    found = two_sample(torch.zeros(20, 4, dtype=torch.int64), torch.ones(20, 4, dtype=torch.int64))
    assert found.accuracy == 1
    assert found.standard_error == pytest.approx(1 / 41)


def test_a_model_of_other_data_is_refused():
    model = unmask.wrap(lambda tokens: torch.zeros(*tokens.shape, 9), mask_id=8, vocab_size=9)
    with pytest.raises(DataError, match=r"has 9 ids.*shidoku has 5 ids.*trained on shidoku"):
        evaluate("shidoku", model)
