"""Bounds on the grid that scores are ranked on."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.core.ranking import DIGITS, best_of_groups, log_beside, log_on_grid, on_grid


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


@given(st.integers(0, 2**40), st.integers(1, 9), st.integers(1, 5))
def test_the_best_of_groups_are_the_best_of_each(seed, length, groups):
    """By sorting each group by itself; equal scores go by position."""
    generator = torch.Generator().manual_seed(seed)
    score = torch.randint(0, 4, (3, length), generator=generator).float()
    eligible = torch.rand(3, length, generator=generator) < 0.7
    group = torch.randint(0, groups, (3, length), generator=generator)
    count = torch.randint(0, length + 2, (3, groups), generator=generator)
    chosen = best_of_groups(score, eligible, count, group)
    for row in range(3):
        for each in range(groups):
            members = [i for i in range(length) if group[row, i] == each and eligible[row, i]]
            members.sort(key=lambda i, row=row: (-float(score[row, i]), i))
            wanted = set(members[: int(count[row, each])])
            assert {i for i in members if chosen[row, i]} == wanted
    assert not bool((chosen & ~eligible).any())
