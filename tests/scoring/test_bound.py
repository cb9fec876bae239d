"""The bound against enumeration: its expectation is a sum over every set of hidden positions."""

import math

import pytest
import torch

import unmask
from unmask import scoring
from unmask.errors import StrategyError

from .worlds import DATA, LENGTH, MASK, SPACE, all_subsets, leave_one_out, liar, truth

COPIES = 3000
WHOLE = torch.ones(LENGTH, dtype=torch.bool)
SPAN = torch.tensor([False, True, True, False])


def mean_and_error(denoiser, tokens, asked, samples=3):
    """Of one sequence, scored COPIES times: every copy has masks of its own."""
    copies = tokens.repeat(COPIES, 1)
    result = scoring.score(
        denoiser, copies, asked.repeat(COPIES, 1), by=scoring.Bound(samples), batch_size=10_000
    )
    each = result.per_example
    return float(each.mean()), float(each.std() / math.sqrt(COPIES))


@pytest.mark.parametrize("asked", [WHOLE, SPAN])
@pytest.mark.parametrize("row", [0, 17, 80])
def test_on_true_conditionals_its_expectation_is_the_likelihood(row, asked):
    mean, error = mean_and_error(truth(), SPACE[row], asked)
    assert 0 < error < 0.03
    assert abs(mean - leave_one_out(SPACE[row], asked)) < 4 * error


@pytest.mark.parametrize("samples", [1, 3])
def test_its_expectation_runs_over_every_subset(samples):
    mean, error = mean_and_error(liar(), SPACE[40], WHOLE, samples)
    exact = all_subsets(liar(), SPACE[40], WHOLE)
    assert abs(mean - exact) < 4 * error
    assert abs(mean - leave_one_out(SPACE[40], WHOLE)) > 20 * error


def test_a_wrong_weight_is_found_out(monkeypatch):
    """Negative control: pooled cross-entropy, which weights sets by their size, is no bound."""
    real = unmask.scoring.bound.nats

    def pooled(denoiser, state, rows, masked):
        return real(denoiser, state, rows, masked) * masked.sum(1) * 2 / LENGTH

    monkeypatch.setattr(unmask.scoring.bound, "nats", pooled)
    mean, error = mean_and_error(truth(), SPACE[17], WHOLE)
    assert abs(mean - leave_one_out(SPACE[17], WHOLE)) > 20 * error


def test_more_pairs_spread_less():
    errors = [mean_and_error(truth(), SPACE[17], WHOLE, samples)[1] for samples in (1, 4, 16)]
    # Independent pairs would give 1, 1/2 and 1/4; sizes spread evenly give less.
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.25 * errors[0]


def test_a_uniform_model():
    flat = unmask.wrap(lambda t: torch.zeros(*t.shape, 6), mask_id=5, vocab_size=6)
    result = unmask.score(flat, torch.arange(140).view(20, 7) % 5, by=scoring.Bound(3))
    assert result.nats_per_token == pytest.approx(math.log(5), rel=1e-6)
    assert result.bits_per_token == pytest.approx(math.log2(5), rel=1e-6)
    assert result.perplexity == pytest.approx(5, rel=1e-6)
    assert result.standard_error < 1e-6
    assert (result.tokens, result.examples, result.kind) == (140, 20, "bound")


@pytest.mark.parametrize("samples", [0, -1, 2.5, True])
def test_a_number_of_samples_that_cannot_be(samples):
    with pytest.raises(StrategyError, match="pass an integer of 1 or more"):
        scoring.Bound(samples)


def test_a_prompt_may_hold_the_mask_id():
    tokens, asked = SPACE[[5]].clone(), SPAN[None]
    tokens[0, 0] = MASK
    result = unmask.score(truth(), tokens, asked, by=scoring.Bound(50))
    assert result.tokens == 2
    assert 0 < result.nats_per_token < 3 * math.log(DATA)
