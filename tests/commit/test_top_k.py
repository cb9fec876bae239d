"""`best`: exactly so many, whatever the scores; ties to the lower position."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import unmask
from unmask import presets
from unmask.commit import Explicit, Scheduled, TopK
from unmask.core.ranking import best
from unmask.decoding import Strategy

SCORES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, math.inf, -math.inf, 3.4e38, -3.4e38]),  # many ties
    st.floats(-10, 10, width=32),
)


@st.composite
def batches(draw):
    rows, length = draw(st.integers(1, 5)), draw(st.integers(1, 12))

    def table(cell):
        line = st.lists(cell, min_size=length, max_size=length)
        return draw(st.lists(line, min_size=rows, max_size=rows))

    counts = draw(st.lists(st.integers(-1, length + 2), min_size=rows, max_size=rows))
    return table(SCORES), table(st.booleans()), counts


def naive(score, eligible, count):
    """One row: sort the eligible positions by score, then by position."""
    running = [i for i in range(len(score)) if eligible[i]]
    running.sort(key=lambda i: (-max(score[i], torch.finfo(torch.float32).min), i))
    chosen = set(running[: max(count, 0)])
    return [i in chosen for i in range(len(score))]


@given(batches(), st.sampled_from([torch.float32, torch.float64]))
def test_best_is_the_naive_sort(batch, dtype):
    score, eligible, count = batch
    found = best(torch.tensor(score, dtype=dtype), torch.tensor(eligible), torch.tensor(count))
    assert found.dtype == torch.bool
    if dtype == torch.float32:
        assert found.tolist() == [naive(*row) for row in zip(*batch, strict=True)]
    assert found.sum(1).tolist() == [
        min(max(n, 0), sum(row)) for n, row in zip(count, eligible, strict=True)
    ]
    assert not bool((found & ~torch.tensor(eligible)).any())


@given(st.integers(1, 40), st.integers(0, 40), st.sampled_from([0.0, 1.0, math.inf, -math.inf]))
def test_equal_scores_go_to_the_lower_positions(length, count, value):
    """Saturated confidences are equal; `score < cutoff` would commit none of them, or all."""
    found = best(torch.full((1, length), value), torch.ones(1, length, dtype=bool), tensor(count))
    assert found[0].tolist() == [i < count for i in range(length)]


def tensor(count):
    return torch.tensor([count])


@pytest.mark.parametrize("length", [10, 100, 5000])
def test_ties_are_stable_however_long_the_row(length):
    """Some sorts are stable only on short rows."""
    score = torch.zeros(1, length)
    score[0, length // 2] = 1
    found = best(score, torch.ones(1, length, dtype=bool), tensor(4))
    assert found[0].nonzero().flatten().tolist() == [0, 1, 2, length // 2]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_saturated_half_precision_scores_still_give_the_number(dtype):
    score = (1 - torch.rand(4, 64, generator=torch.Generator().manual_seed(0)) * 1e-4).to(dtype)
    assert len(score.unique()) < 3
    counts = torch.tensor([0, 1, 31, 64])
    assert best(score, torch.ones(4, 64, dtype=bool), counts).sum(1).tolist() == counts.tolist()


def test_minus_infinity_among_the_eligible_beats_anything_else():
    score = torch.tensor([[5.0, -math.inf, 7.0, -math.inf, 1.0]])
    eligible = torch.tensor([[False, True, False, True, False]])
    assert best(score, eligible, tensor(1))[0].tolist() == [False, True, False, False, False]
    assert best(score, eligible, tensor(2))[0].tolist() == eligible[0].tolist()
    assert best(score, eligible, tensor(9))[0].tolist() == eligible[0].tolist()


def test_rows_have_counts_of_their_own():
    score = torch.tensor([[3.0, 1.0, 2.0]] * 4)
    found = best(score, torch.ones(4, 3, dtype=bool), torch.tensor([0, 1, 2, 3]))
    assert found.int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1]]


def test_scores_are_not_written_to():
    score = torch.tensor([[1.0, -math.inf, 2.0]])
    before = score.clone()
    best(score, torch.tensor([[True, True, False]]), tensor(1))
    assert torch.equal(score, before)


# --- in the engine -----------------------------------------------------------------------------


def flat(tokens):
    """A network without opinions: every score ties."""
    return torch.zeros(*tokens.shape, 5)


@given(st.integers(1, 12), st.integers(1, 15), st.booleans())
def test_exactly_the_planned_number_is_known_after_each_step(length, steps, remask):
    made = presets.annealed(steps=steps, remask=remask)
    plan, total = made.commit.count_plan(np.array([length]))
    infos = list(
        unmask.stream(
            unmask.wrap(flat, mask_id=4), unmask.Canvas.blank(3, length), made, seed=length
        )
    )
    assert len(infos) == total[0]
    for info, unknown in zip(infos, plan[0].tolist(), strict=True):
        assert info.masked.sum(1).tolist() == [unknown] * 3


def test_ties_of_a_flat_network_go_left_to_right():
    made = Strategy(TopK(Explicit([2, 1, 3])), presets.confidence().order)
    infos = list(
        unmask.stream(unmask.wrap(flat, mask_id=4), unmask.Canvas.blank(2, 6), made, seed=0)
    )
    known = [(~info.masked[0]).nonzero().flatten().tolist() for info in infos]
    assert known == [[0, 1], [0, 1, 2], [0, 1, 2, 3, 4, 5]]


def test_scores_of_minus_infinity_still_finish():
    """A score that rules every position out cannot stop a row that must commit."""

    def hopeless(state, proposal):
        return torch.full(state.tokens.shape, -math.inf)

    made = presets.confidence(steps=3).but(order=hopeless)
    infos = unmask.stream(unmask.wrap(flat, mask_id=4), unmask.Canvas.blank(2, 6), made, seed=0)
    *_, last = islice(infos, 3)  # three steps and no more: a rule that is wrong would go on
    assert last.state.rows.finished.tolist() == [True, True]
    assert int(last.tokens.max()) < 4


def test_best_counts_from_what_competes():
    """|eligible| − remaining, and one where the plan would leave as many as there are."""
    denoiser = unmask.wrap(flat, mask_id=4, vocab_size=5)
    made = Strategy(TopK(Scheduled("linear", 4)), presets.confidence().order)
    state = unmask.init(denoiser, unmask.Canvas.blank(3, 4), made, [1, 2, 3])
    remaining = np.array([0, 2, 5])[:, None, None] + np.zeros((3, 1, 4), np.int64)
    rows = replace(state.rows, plan=replace(state.rows.plan, remaining=remaining))
    score = torch.arange(12.0).view(3, 4)
    eligible = torch.ones(3, 4, dtype=torch.bool)
    kept = made.commit(score, eligible, replace(state, rows=rows))
    assert kept.sum(1).tolist() == [4, 2, 1]


def test_a_rule_derived_from_top_k_says_anew_whether_its_counts_are_exact():
    """Else the host would count the planned number, where nothing is read from the device."""

    class AtOnce(TopK):
        def __call__(self, score, eligible, state, proposal=None):
            return eligible

    class Exactly(TopK):
        exact_counts = True

        def __call__(self, score, eligible, state, proposal=None):
            return super().__call__(score, eligible, state, proposal)

    class Named(TopK):
        pass

    assert [rule.exact_counts for rule in (AtOnce, Exactly, Named)] == [False, True, True]
    made = presets.confidence().but(commit=AtOnce("linear", 3))
    infos = list(
        unmask.stream(unmask.wrap(flat, mask_id=4), unmask.Canvas.blank(2, 6), made, seed=0)
    )
    assert [info.masked.sum(1).tolist() for info in infos] == [[0, 0]]
