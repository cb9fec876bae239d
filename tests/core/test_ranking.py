"""Bounds on the grid that scores are ranked on."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.core.ranking import DIGITS, log_beside, log_on_grid, on_grid


@given(st.floats(0.001, 0.9999), st.sampled_from([-1, 1]))
def test_what_is_a_step_of_the_grid_away_is_beyond_a_bound(probability, side):
    bound = math.log(probability)
    step = 2.0 ** (math.floor(math.log2(-bound)) + 1 - DIGITS)
    assert abs(log_beside(probability, side) - bound - side * step / 2) <= 1e-15
    assert on_grid(torch.tensor([bound + 2 * step])).item() > log_on_grid(probability)


@given(st.floats(0.001, 0.9999))
def test_rounding_is_not_beyond_a_bound(probability):
    near = torch.tensor([math.log(probability)]) * (1 + torch.tensor([-1e-6, 0.0, 1e-6]))
    assert not (near > log_beside(probability, 1)).any()
    assert not (near < log_beside(probability, -1)).any()


def test_bounds_of_nothing_and_of_everything():
    assert log_beside(0.0, 1) == log_beside(0.0, -1) == -math.inf
    assert log_beside(1.0, 1) == log_beside(1.0, -1) == 0
