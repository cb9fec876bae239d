"""The ancestral plan: reveal times, their law, and the steps that are left out."""

from functools import partial
from math import comb

import numpy as np
import pytest
import torch
from tests.reference.oracles import chi_square

from unmask import presets, schedules
from unmask.commit import AllSteps, Ancestral, NoPlan
from unmask.core.random import derive, reveal_uniform
from unmask.errors import StrategyError

UNKNOWN = np.ones((6000, 3), bool)
SEEDS = derive(0, 6000).numpy()


def naive(u, places, steps, ratio):
    """Counts left after the steps that reveal something."""
    left, before = [], len(places)
    for s in range(1, steps + 1):
        m = 0.0 if s == steps else ratio(s / steps)
        now = sum(u[i] < m for i in places)
        if now < before:
            left.append(now)
        before = now
    return left


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
@pytest.mark.parametrize("schedule", [schedules.linear, schedules.cosine])
def test_the_plan_is_that_of_the_times(schedule, steps):
    unknown = torch.rand(50, 7, generator=torch.Generator().manual_seed(1)).numpy() < 0.7
    seeds = derive(5, 50).numpy()
    plan, total = Ancestral(schedule, steps).by_position(unknown, seeds)
    times = reveal_uniform(torch.from_numpy(seeds), 7)

    def ratio(t):
        return float(schedule(torch.tensor(t, dtype=torch.float64)))

    for row in range(50):
        places = unknown[row].nonzero()[0].tolist()
        expected = naive(times[row].tolist(), places, steps, ratio)
        assert int(total[row]) == len(expected)
        assert plan[row].tolist() == expected + [0] * (plan.shape[1] - len(expected))


def test_each_step_reveals_a_binomial_share():
    """Of three positions at T = 3: (m_t − m_s)/m_t is 1/3 at the first step, 1/2 at the second."""
    plan, total = Ancestral(schedules.linear, 3).by_position(UNKNOWN, SEEDS)
    times = reveal_uniform(torch.from_numpy(SEEDS), 3)
    first = (times >= 2 / 3).sum(1)
    second = (times >= 1 / 3).sum(1) - first
    joint = np.zeros((4, 4))
    law = np.zeros((4, 4))
    for a in range(4):
        for b in range(4 - a):
            joint[a, b] = int(((first == a) & (second == b)).sum())
            law[a, b] = (
                comb(3, a) * (1 / 3) ** a * (2 / 3) ** (3 - a) * comb(3 - a, b) * 0.5 ** (3 - a)
            )
    assert chi_square(joint, law) > 1e-4
    assert chi_square(joint, np.ones_like(law) * (law > 0)) < 1e-6  # the control: another law
    three = int((total == 3).sum())
    assert three == int(((first == 1) & (second == 1)).sum())
    assert int(plan.max()) == 2


def test_steps_may_differ_by_row():
    unknown = UNKNOWN[:2]
    own = np.array([2, 9])
    both, _ = Ancestral(schedules.linear, 4).by_position(unknown, SEEDS[:2], own)
    for row, steps in enumerate((2, 9)):
        alone, _ = Ancestral(schedules.linear, steps).by_position(
            unknown[row : row + 1], SEEDS[row : row + 1]
        )
        width = min(alone.shape[1], both.shape[1])
        assert both[row, :width].tolist() == alone[0, :width].tolist()


def test_the_other_plans_without_counts():
    unknown = np.array([5, 0, 2])
    assert NoPlan()(unknown)[1].tolist() == [5, 0, 2]
    assert AllSteps(7)(unknown)[1].tolist() == [7, 0, 7]


def test_ancestral_cannot_plan_by_counts():
    with pytest.raises(StrategyError, match=r"at a random time, so it cannot plan groups"):
        Ancestral(schedules.linear, 3)(np.array([3]))


# --- Steps that are all listed ---------------------------------------------------------------


ENTROPY = partial(presets.dream, algorithm="entropy")


@pytest.mark.parametrize("preset", [presets.mdlm, presets.remdm, presets.dream, ENTROPY])
def test_more_steps_than_memory_holds_are_refused_before_the_work(preset):
    words = r"steps=1000000000000: \w+ lists every step beforehand, 1,000,000 at most: pass fewer"
    with pytest.raises(StrategyError, match=words):
        preset(steps=10**12)
    plan = preset(steps=10**6).commit.count_plan
    with pytest.raises(StrategyError, match=words):
        plan.by_position(UNKNOWN, SEEDS, np.full(6000, 10**12))


def test_steps_beyond_the_positions_cost_nothing_where_the_plan_ends_with_them():
    for preset in (presets.maskgit, presets.llada, presets.p2):
        plan, total = preset(steps=10**12).commit.count_plan(np.array([5]))
        assert (plan.tolist(), total.tolist()) == ([[4, 3, 2, 1, 0]], [5])
