"""Guidance weights at their ends; tests of guidance hold them against their formulas."""

import math

import pytest
import torch

from unmask import guidance
from unmask.errors import StrategyError


def at(weight, progress, ratio):
    return weight(*(torch.tensor([x], dtype=torch.float64) for x in (progress, ratio))).tolist()


def test_the_ends_of_the_weights():
    assert (
        at(guidance.ConstantWeight(3.0), 0.1, 1.0)
        == at(guidance.ConstantWeight(3.0), 1.0, 0.1)
        == [3.0]
    )
    assert at(guidance.LinearWeight(3.0), 0.25, 1.0) == [0.75]
    assert at(guidance.LinearWeight(3.0), 1.0, 0.25) == [3.0]
    assert at(guidance.RatioWeight(), 0.1, 1.0) == [10.0]
    assert at(guidance.RatioWeight(), 0.1, 0.0) == [1.0]
    assert at(guidance.PowerCosineWeight(3.0), 0.0, 1.0) == [0.0]
    assert at(guidance.PowerCosineWeight(3.0), 1.0, 0.1) == [3.0]
    assert at(guidance.PowerCosineWeight(3.0), 0.5 ** (1 / 3), 0.1) == pytest.approx([1.5])
    assert at(guidance.PowerCosineWeight(3.0, exponent=2), 0.5**0.5, 0.1) == pytest.approx([1.5])


@pytest.mark.parametrize(
    "make",
    [
        lambda: guidance.ConstantWeight("3"),
        lambda: guidance.LinearWeight(math.nan),
        lambda: guidance.RatioWeight(most=None),
        lambda: guidance.RatioWeight(least=math.inf),
        lambda: guidance.PowerCosineWeight(True),
        lambda: guidance.PowerCosineWeight(3.0, exponent="3"),
    ],
)
def test_a_parameter_that_is_no_number_is_refused(make):
    with pytest.raises(StrategyError, match=r"=.*: pass a number, such as 2\.0"):
        make()


@pytest.mark.parametrize("exponent", [0, -1.0])
def test_an_exponent_is_above_zero(exponent):
    with pytest.raises(StrategyError, match=r"exponent=.*pass a number above 0"):
        guidance.PowerCosineWeight(3.0, exponent)
