"""Plans: exact integers per row, never a step that commits nothing."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask import Canvas, schedules
from unmask.commit import Even, Explicit, OneAtATime, Remaining, Scheduled
from unmask.errors import CanvasError, StrategyError
from unmask.schedules import custom, power

SCHEDULES = [
    *schedules.NAMED.values(),
    power(0.2),
    power(7),
    custom(lambda t: 1 - (t * 3).clamp(max=1), "early"),
    custom(lambda t: 1 - (t * 3 - 2).clamp(min=0), "late"),
]
schedule = st.sampled_from(SCHEDULES)
sizes = st.integers(0, 80)
step_counts = st.integers(1, 100)


def plan_of(counts, unknown):
    """One row's plan: how many stay unknown after each of its steps."""
    plan, total = counts(np.array([unknown]))
    assert plan.dtype == total.dtype == np.int64
    assert plan[0, total[0] :].sum() == 0
    return plan[0, : total[0]].tolist()


def committed(plan, unknown):
    return [a - b for a, b in zip([unknown, *plan], plan, strict=False)]


# --- Scheduled -------------------------------------------------------------------------------


@given(sizes, step_counts, schedule)
def test_every_step_commits_and_the_last_one_finishes(unknown, steps, gamma):
    plan = plan_of(Scheduled(gamma, steps), unknown)
    assert len(plan) == min(steps, unknown)
    assert all(count >= 1 for count in committed(plan, unknown))
    assert sum(committed(plan, unknown)) == unknown
    assert plan[-1:] in ([], [0])


@given(sizes, step_counts, schedule)
def test_is_as_near_to_the_schedule_as_one_a_step_allows(unknown, steps, gamma):
    """Naive: ⌊U·γ(s/T)⌋, at least what the steps still to come must have, at most one less."""
    total, before, naive = min(steps, unknown), unknown, []
    for s in range(1, total + 1):
        ratio = float(gamma(torch.tensor(s / total, dtype=torch.float64)))
        wanted = math.floor(round(unknown * ratio, 6))
        before = min(max(wanted, total - s), before - 1)
        naive.append(before)
    assert plan_of(Scheduled(gamma, steps), unknown) == naive


@given(st.integers(1, 200), st.data())
def test_cosine_is_the_clamp_of_maskgit(unknown, data):
    """2202.04200: ⌊U·cos(πr/2)⌋ held in [1, before − 1]; the last step commits everything."""
    steps = data.draw(st.integers(1, unknown))
    before, naive = unknown, []
    for s in range(1, steps):
        wanted = math.floor(round(unknown * math.cos(math.pi / 2 * s / steps), 6))
        before = min(max(wanted, 1), before - 1)
        naive.append(before)
    assert plan_of(Scheduled(schedules.cosine, steps), unknown) == [*naive, 0]


@pytest.mark.parametrize("size", [1, 2, 7, 10, 16, 49, 64, 100, 1000, 1024])
def test_linear_with_as_many_steps_as_positions_is_all_ones(size):
    """A float32 floor reveals 1,1,1,1,1,2,0,2,0,1 at 10."""
    plan = plan_of(Scheduled(schedules.linear, size), size)
    assert committed(plan, size) == [1] * size


@given(st.integers(1, 12), st.integers(1, 60))
def test_linear_is_even_where_it_divides(each, steps):
    plan = plan_of(Scheduled(schedules.linear, steps), each * steps)
    assert committed(plan, each * steps) == [each] * steps


@pytest.mark.parametrize(
    ("gamma", "unknown", "steps", "counts"),
    [
        (schedules.linear, 10, 3, [4, 3, 3]),
        (schedules.linear, 10, 4, [3, 2, 3, 2]),
        (schedules.linear, 4, 9, [1, 1, 1, 1]),
        (schedules.cosine, 16, 4, [2, 3, 5, 6]),
        (schedules.cosine_mdlm, 16, 4, [7, 5, 3, 1]),
        (schedules.cosine, 3, 12, [1, 1, 1]),
        (power(2), 16, 4, [1, 3, 5, 7]),
        (SCHEDULES[-2], 12, 4, [9, 1, 1, 1]),
        (SCHEDULES[-1], 12, 4, [1, 1, 1, 9]),
    ],
)
def test_worked_examples(gamma, unknown, steps, counts):
    assert committed(plan_of(Scheduled(gamma, steps), unknown), unknown) == counts


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), st.integers(1, 25), schedule)
def test_a_row_is_planned_as_it_is_alone(unknown, steps, gamma):
    plan, total = Scheduled(gamma, steps)(np.array(unknown))
    assert plan.shape == (len(unknown), max(total.tolist()) or 1)
    for row, size in enumerate(unknown):
        assert plan[row, : int(total[row])].tolist() == plan_of(Scheduled(gamma, steps), size)
        assert int(plan[row, int(total[row]) :].sum()) == 0


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 25)), min_size=1, max_size=4), schedule
)
def test_steps_may_differ_by_row(rows, gamma):
    unknown, steps = zip(*rows, strict=True)
    plan, total = Scheduled(gamma, 7)(np.array(unknown), np.array(steps))
    assert total.tolist() == [min(pair) for pair in rows]
    for row, (size, own) in enumerate(rows):
        assert plan[row, : int(total[row])].tolist() == plan_of(Scheduled(gamma, own), size)


def test_rows_that_are_finished_take_no_step():
    plan, total = Scheduled(schedules.linear, 4)(np.array([0, 4, 0]))
    assert total.tolist() == [0, 4, 0]
    assert plan.tolist() == [[0] * 4, [3, 2, 1, 0], [0] * 4]


@pytest.mark.parametrize("steps", [0, -1, True, False, "12", 2.0, 2.5, None], ids=repr)
@pytest.mark.parametrize("plan", [partial(Scheduled, schedules.linear), Even])
def test_steps_below_one_or_no_integers_are_refused(plan, steps):
    with pytest.raises(StrategyError, match="pass an integer of 1 or more"):
        plan(steps)


@pytest.mark.parametrize("steps", [[], [4, 0], [True], [2.0], (3, None), [3, 4]], ids=repr)
def test_steps_of_rows_are_referred_to_the_canvas(steps):
    with pytest.raises(StrategyError, match=r"pass one integer here; .*the canvas.*steps=\["):
        Scheduled(schedules.linear, steps)


@pytest.mark.parametrize(
    "steps", [[], [4, 0], [4, -1], [True, True], [2.0, 2.0], "12", (3, None), 3, 2.5], ids=repr
)
def test_steps_of_a_canvas_below_one_or_no_integers_are_refused(steps):
    with pytest.raises(CanvasError, match=r"steps=.* for 2 rows: pass one integer of 1 or more"):
        Canvas.blank(2, 5, steps=steps)


@pytest.mark.parametrize("steps", [[3], [3, 3, 3]])
def test_steps_for_another_number_of_rows_are_refused(steps):
    with pytest.raises(CanvasError, match=r"for 2 rows: pass one integer .* for each row"):
        Canvas.blank(2, 5, steps=steps)


# --- Explicit --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_explicit_commits_what_it_says(counts):
    plan, total = Explicit(counts)(np.array([sum(counts), 0, sum(counts)]))
    assert total.tolist() == [len(counts), 0, len(counts)]
    assert committed(plan[0].tolist(), sum(counts)) == counts
    assert plan[1].tolist() == [0] * len(counts)
    assert plan[2].tolist() == plan[0].tolist()


@pytest.mark.parametrize("counts", [[], [0], [2, 0, 1], [-1], [True], [1.0], ["2"]], ids=repr)
def test_explicit_counts_below_one_are_refused(counts):
    with pytest.raises(StrategyError, match="every step must commit 1 or more"):
        Explicit(counts)


@pytest.mark.parametrize("counts", [3, None], ids=repr)
def test_explicit_counts_that_are_no_list_are_refused(counts):
    with pytest.raises(StrategyError, match="every step must commit 1 or more"):
        Explicit(counts)


@pytest.mark.parametrize("unknown", [[5, 4], [5, 6], [5, 0, 1]])
def test_explicit_counts_that_do_not_add_up_are_refused(unknown):
    row = len(unknown) - 1
    words = f"commit 5 positions but row {row} has {unknown[row]} unknown"
    with pytest.raises(StrategyError, match=words):
        Explicit([2, 3])(np.array(unknown))


# --- OneAtATime ------------------------------------------------------------------------------


@given(st.lists(sizes, min_size=1, max_size=5))
def test_one_at_a_time(unknown):
    plan, total = OneAtATime()(np.array(unknown))
    assert total.tolist() == unknown
    for row, size in enumerate(unknown):
        assert plan[row, :size].tolist() == list(range(size - 1, -1, -1))
        assert int(plan[row, size:].sum()) == 0


@given(st.integers(0, 60))
def test_one_at_a_time_is_linear_with_steps_to_spare(size):
    assert plan_of(OneAtATime(), size) == plan_of(Scheduled(schedules.linear, 1000), size)


def dream(left, steps, epsilon=1e-3):
    """The counts of Dream's own loop, with torch's numbers."""
    times, plan = torch.linspace(1, epsilon, steps + 1), []
    for i in range(steps):
        share = 1 - times[i + 1] / times[i] if i < steps - 1 else 1
        count = int(left * share)
        left -= count
        plan += [left] * (count > 0)
    return plan


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 70)), min_size=1, max_size=6))
def test_the_remaining_share_is_that_of_dreams_own_loop(rows):
    unknown, steps = np.array(rows).T
    remaining, total = Remaining(5)(unknown, steps)
    for row, (left, given_steps) in enumerate(rows):
        plan = dream(left, given_steps)
        assert total[row] == len(plan)
        assert remaining[row, : len(plan)].tolist() == plan
        assert not remaining[row, len(plan) :].any()


def test_rows_that_are_alike_are_planned_once(monkeypatch):
    asked, row = [], Remaining._row
    monkeypatch.setattr(Remaining, "_row", lambda *a: asked.append(a[1:]) or row(*a))
    Remaining(4)(np.array([8, 9, 8, 8, 9]))
    assert sorted(asked) == [(8, 4), (9, 4)]
