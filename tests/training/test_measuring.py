"""Measuring takes a tenth of a run at most, and changes nothing that is trained."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unmask
from unmask.training import Recipe, measuring, train
from unmask.training.measuring import MOST, Budget

PASSES, BATCH, PAIRS = 64, 16, 8


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def simulated(step, row, sample, steps, rows, samples):
    """Return seconds of training, rounds and the final figure, and the rounds themselves."""
    clock, rounds = Clock(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "time", clock)
        budget, due = Budget(rows, samples, PASSES, BATCH), False
        for n in range(1, steps + 1):
            clock.now += step
            budget.steps += 1
            due |= n % max(1, steps // 10) == 0
            if due:
                asked = budget.affordable()
                due = asked == (0, 0)
                for what, count, cost in zip(("row", "sample"), asked, (row, sample), strict=True):
                    if count:
                        with budget.spending(what, count):
                            clock.now += count * cost
                rounds += [] if due else [asked]
        spent = budget.spent
        with budget.spending("row", 1):
            clock.now += row
        with budget.spending("row", final := budget.final_rows()):
            clock.now += final * row
    return step * steps, spent, clock.now - spent - step * steps, rounds


@settings(max_examples=200, deadline=None)
@given(
    step=st.floats(0.05, 5.0),
    row=st.floats(0.02, 0.25),
    sample=st.floats(0.02, 0.25),
    steps=st.integers(200, 2000),
    rows=st.integers(1, 256),
    samples=st.integers(0, 16),
)
def test_a_run_of_minutes_spends_a_tenth_at_most(step, row, sample, steps, rows, samples):
    """row, sample: what a pass costs, as a share of one in training, which has a backward, too."""
    one = step / (2 * BATCH)
    trained, spent, final, rounds = simulated(
        step, 2 * row * 2 * one, sample * 2 * PASSES * one, steps, rows, samples
    )
    if trained < 2 * measuring.FREE / measuring.SHARE:
        return
    assert spent + final <= 0.1 * (trained + spent + final)
    assert rounds
    assert all(r <= rows and s <= samples for r, s in rounds)


def test_what_is_cheap_is_all_measured_and_what_is_dear_waits():
    _, _, _, rounds = simulated(1.0, 1e-4, 1e-3, 1000, 256, 16)
    assert rounds[-5:] == [(256, 16)] * 5  # the first are smaller, since costs are only guessed
    assert rounds[0][0] >= 16
    _, spent, _, rounds = simulated(1.0, 0.1, 4.0, 1000, 256, 16)
    assert spent <= 50
    assert sum(r for r, _ in rounds) >= 160
    assert sum(s for _, s in rounds) >= 3
    _, _, _, rounds = simulated(0.5, 0.03, 1.0, 300, 100, 16)
    assert sum(s for _, s in rounds) >= 3  # rows do not take the time of samples
    assert simulated(1.0, 1e-4, 1e-3, 1000, 0, 16)[-1][-5:] == [(0, 16)] * 5
    assert simulated(1.0, 1e-4, 1e-3, 1000, 256, 0)[-1][-5:] == [(256, 0)] * 5
    assert simulated(1.0, 1e-4, 1e-3, 1000, 0, 0)[-1] == []


def test_the_final_figure_has_its_own_share(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measuring, "time", clock)
    budget = Budget(256, 16, PASSES, BATCH)
    budget.costs["row"] = 0.1
    clock.now = 1000.0
    assert budget.final_rows() == 500
    budget.costs["row"] = 1e-6
    assert budget.final_rows() == MOST
    budget.costs["row"] = 100.0
    assert budget.final_rows() == measuring.FEWEST


def test_time_left_counts_what_measuring_will_take(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measuring, "time", clock)
    budget = Budget(256, 16, PASSES, BATCH)
    clock.now, budget.used["row"], budget.steps = 60.0, 10.0, 50
    assert budget.seconds_left(100) == pytest.approx(110)


def test_weights_do_not_depend_on_what_is_looked_at(tmp_path, monkeypatch):
    seen = []
    options = {"steps": 12, "report": seen.append}
    recipe = unmask.training.RECIPES["shidoku"]
    fields = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    monkeypatch.setattr(measuring, "FREE", 1e9)
    train("shidoku", tmp_path / "all", **options)
    assert any(at.samples is not None and len(at.samples) == 16 for at in seen)
    assert [at.step for at in seen if at.bound is not None] == list(range(1, 13))
    seen.clear()
    none = Recipe(**(fields | {"samples": 0, "held_out_rows": 0}))
    train("shidoku", tmp_path / "none", recipe=none, **options)
    assert all(at.samples is None and at.bound is None for at in seen)
    assert all(at.seconds_left >= 0 for at in seen)
    some = Recipe(**(fields | {"samples": 3, "held_out_rows": 20}))
    train("shidoku", tmp_path / "some", recipe=some, **options)
    assert {len(at.samples) for at in seen if at.samples is not None} == {3}
    weights = [unmask.load(tmp_path / name).state_dict() for name in ("all", "none", "some")]
    for other in weights[1:]:
        assert all(torch.equal(weights[0][key], other[key]) for key in other)
