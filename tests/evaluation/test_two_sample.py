"""The two-sample test knows real from real as chance does, and anything else better."""

import importlib
import sys

import pytest
import torch

from unmask.errors import DataError, MissingExtraError
from unmask.evaluation import real_against_real, two_sample
from unmask.tasks import digits

# The package exports the function under the module's own name.
two_sample_module = importlib.import_module("unmask.evaluation.judges")


@pytest.fixture(scope="module")
def real():
    data = digits.load()
    return torch.cat([data.train_tokens, data.held_out_tokens])


def test_real_against_real_is_near_a_half(real):
    # Fixed seed, so this cannot flake; over seeds, 4 standard errors fail 1 time in 15,000.
    outcome = real_against_real(real, rows=200)
    assert outcome.rows == 200
    assert abs(outcome.accuracy - 0.5) < 4 * outcome.standard_error
    assert outcome.standard_error == pytest.approx((0.25 / 400) ** 0.5, rel=0.02)


def test_constant_images_give_themselves_away(real):
    constant = torch.full((60, 64), 8)
    assert two_sample(constant, real[:60]).accuracy > 0.99


def test_independent_pixels_give_themselves_away(real):
    # Each pixel drawn from its own marginal: right one by one, wrong together.
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(real), (150, 64), generator=generator)
    outcome = two_sample(real.gather(0, rows), real[:150])
    assert outcome.accuracy > 0.8


@pytest.fixture
def few_trees(monkeypatch):
    """For tests of everything but the forest's power: it is what takes the time."""
    monkeypatch.setattr(two_sample_module, "TREES", 10)


def test_which_side_is_generated_hardly_matters(real, few_trees):
    noisy = (real[:150] + (torch.arange(64) % 3 == 0)).clamp(max=16)
    there = two_sample(noisy, real[150:300])
    back = two_sample(real[150:300], noisy)
    assert there.accuracy > 0.7
    assert there.accuracy == pytest.approx(back.accuracy, abs=0.05)


def test_same_seed_same_figure(real, few_trees):
    first = real_against_real(real, rows=60, seed=1)
    assert real_against_real(real, rows=60, seed=1) == first
    assert real_against_real(real, rows=60, seed=2) != first


def test_halves_are_disjoint(monkeypatch):
    seen = []
    monkeypatch.setattr(two_sample_module, "two_sample", lambda *sides: seen.append(sides))
    ids = torch.arange(41)[:, None].repeat(1, 3)
    real_against_real(ids, seed=5)
    [(one, other, seed)] = seen
    assert len(one) == len(other) == 20
    assert len({*one[:, 0].tolist(), *other[:, 0].tolist()}) == 40
    assert seed == 5


@pytest.mark.parametrize(
    ("generated", "message"),
    [
        (torch.zeros(7, 64).long(), "7 generated rows against 10 real"),
        (torch.zeros(10, 65).long(), r"generated\[:, 1:\]"),
        (torch.zeros(10, 64), r"integer ids \(B, N\)"),
        (torch.zeros(640).long(), r"integer ids \(B, N\)"),
    ],
)
def test_refuses_what_cannot_be_compared(generated, message):
    with pytest.raises(DataError, match=message):
        two_sample(generated, torch.zeros(10, 64).long())


def test_refuses_too_few_rows():
    with pytest.raises(DataError, match="at least 5"):
        two_sample(torch.zeros(4, 2).long(), torch.ones(4, 2).long())
    with pytest.raises(DataError, match="give 5 to 10"):
        real_against_real(torch.zeros(20, 2).long(), rows=11)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[tasks\]'"):
        two_sample(torch.zeros(9, 2).long(), torch.ones(9, 2).long())
