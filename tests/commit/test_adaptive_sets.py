"""Adaptive rules against naive ones, over random confidences: ties, gaps, bounds that are met."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.commit import BestOfRuns, FrechetProfile, NearAnchors
from unmask.core.ranking import log_on_grid

BOUNDS = st.sampled_from([0.0, 0.25, 0.4, 0.5, 0.75, 0.9, 1.0])


@st.composite
def rows(draw):
    """Confidences, None where not eligible; at least one is."""
    levels = st.sampled_from([0.25, 0.4, 0.5, 0.75, 0.9, 1.0]) | st.floats(0.01, 1)
    cells = draw(st.lists(st.none() | levels, min_size=1, max_size=12))
    return cells if any(c is not None for c in cells) else [*cells, 0.5]


def kept(rule, row):
    """The positions that a rule keeps of a row; a second row beside it must not matter."""
    score = torch.tensor([[-math.inf if c is None else log_on_grid(c) for c in row]] * 2).float()
    eligible = torch.tensor([[c is not None for c in row]] * 2)
    score[1], eligible[1] = -1.0, True
    keep = rule(score, eligible, None, None)
    return set(keep[0].nonzero().squeeze(1).tolist())


def or_the_best(chosen, row):
    known = [i for i, c in enumerate(row) if c is not None]
    return chosen or {max(known, key=lambda i: (row[i], -i))}


@given(row=rows(), bound=st.sampled_from([-1.0, -0.3, 0.0, 0.02, 0.25, 0.7]))
def test_the_profile_rule(row, bound):
    ranked = sorted((i for i, c in enumerate(row) if c is not None), key=lambda i: (-row[i], i))
    c = [row[i] for i in ranked]
    values = [sum(c[:n]) - (n - 1) - (1 - c[n - 1]) for n in range(1, len(c) + 1)]
    if any(abs(value - bound) < 1e-3 for value in values):
        return  # within the grid of scores
    count = max((n for n, value in enumerate(values, 1) if value > bound), default=1)
    assert kept(FrechetProfile(bound), row) == set(ranked[:count])


def test_equal_confidences_are_fast_dllms_factor_rule():
    for n, c in ((3, 0.9), (5, 0.95), (7, 0.99)):
        most = max((k for k in range(1, n + 1) if (k + 1) * (1 - c) < 0.75), default=1)
        assert len(kept(FrechetProfile(0.25), [c] * n)) == most


@given(row=rows(), bounds=st.tuples(BOUNDS, BOUNDS), radius=st.integers(1, 13))
def test_neighbours_of_anchors(row, bounds, radius):
    low, high = sorted(bounds)
    known = {i: c for i, c in enumerate(row) if c is not None}
    if any(0 < abs(c - bound) < 1e-3 for c in known.values() for bound in bounds):
        return
    anchors = {i for i, c in known.items() if c >= high}
    near = {i for i in known if any(abs(i - anchor) <= radius for anchor in anchors)}
    chosen = anchors | {i for i in near if known[i] >= low}
    assert kept(NearAnchors(high, low, radius), row) == or_the_best(chosen, row)


@given(row=rows(), bounds=st.tuples(BOUNDS, BOUNDS))
def test_the_best_of_runs(row, bounds):
    low, high = sorted(bounds)
    known = {i: c for i, c in enumerate(row) if c is not None}
    if any(0 < abs(c - bound) < 1e-3 for c in known.values() for bound in bounds):
        return
    if any(0 < abs(a - b) < 1e-3 for a in known.values() for b in known.values()):
        return
    chosen, run = {i for i, c in known.items() if c > high}, []
    for i in range(len(row) + 1):
        if i in known:
            run.append(i)
        elif run:
            surest = max(run, key=lambda i: (known[i], -i))
            chosen |= {surest} if known[surest] > low else set()
            run = []
    assert kept(BestOfRuns(high, low), row) == or_the_best(chosen, row)


@pytest.mark.parametrize("rule", [FrechetProfile(-1.0, cap=2), NearAnchors(0, 0, cap=2)])
def test_no_more_than_the_cap(rule):
    assert kept(rule, [0.5, 0.9, 0.8, 0.7]) == {1, 2}
