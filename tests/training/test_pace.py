"""Runs that end in time: their steps become as many as there is time for."""

import time
from importlib import import_module
from types import SimpleNamespace

import pytest

from unmask.data import read
from unmask.errors import InputError, StrategyError
from unmask.models.checkpoint import read_card
from unmask.training import Recipe, measuring, pace, train
from unmask.training.base import TrainerCallback
from unmask.training.pace import Pace

SMALL = {
    "model_type": "bert", "hidden_size": 16, "intermediate_size": 16,
    "num_hidden_layers": 1, "num_attention_heads": 1,
}  # fmt: skip


class Clock:
    """A time that only steps, and looking at it, make pass."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 1e-4
        return self.now


class Lasting(TrainerCallback):
    """Steps that take so many seconds of the clock."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def on_step_begin(self, args, state, control, **_):
        self.clock.now += self.seconds


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    return read(tmp_path / "book.txt", length=16)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (pace, measuring):
        ours = SimpleNamespace(monotonic=clock, perf_counter=clock)
        monkeypatch.setattr(module, "time", ours)
    return clock


def steps_last(monkeypatch, clock, seconds):
    """Make the steps of runs take so many seconds of the clock."""
    run = import_module("unmask.training.run")
    made = run.trainer_of

    def trainer_of(*given):
        trainer = made(*given)
        trainer.add_callback(Lasting(clock, seconds))
        return trainer

    monkeypatch.setattr(run, "trainer_of", trainer_of)


@pytest.mark.parametrize(("each", "planned"), [(2.0, 200), (1.5, 60)])
def test_a_run_of_steps_that_are_slower_or_faster_than_planned_ends_in_time(
    book, clock, monkeypatch, tmp_path, each, planned
):
    steps_last(monkeypatch, clock, each)
    steps, seconds, begun = [], 150.0, clock.now
    recipe = Recipe(steps=planned, batch_size=4, samples=0, held_out_rows=16, backbone=SMALL)
    train(
        book, tmp_path / "out", recipe=recipe, deadline=begun + seconds,
        report=lambda progress: steps.append((progress.step, progress.total)),
    )  # fmt: skip
    taken, total = steps[-1]
    assert taken == total == pytest.approx(seconds / each, abs=2) != planned
    assert clock.now - begun == pytest.approx(seconds, rel=0.02)
    assert [step for step, _ in steps] == [*range(1, taken + 1)]  # none is lost or taken twice
    assert read_card(tmp_path / "out").about["recipe"]["steps"] == taken
    assert not (tmp_path / "out.training").exists()


def test_a_run_that_goes_on_as_it_is_is_the_one_without_a_deadline(book, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "WORTH", 1e9)
    recipe = Recipe(steps=6, batch_size=4, samples=0, held_out_rows=16, backbone=SMALL)
    for name, deadline in (("with", time.monotonic() + 600), ("without", None)):
        train(book, tmp_path / name, recipe=recipe, deadline=deadline)
    one, other = ((tmp_path / name / "model.safetensors") for name in ("with", "without"))
    assert one.read_bytes() == other.read_bytes()


def paced(now, deadline, step, steps, trained, rounds=0, longest=1e9):
    """What a Pace says after a step, `now` seconds after it began."""
    found = Pace(pace.time.monotonic() + deadline)
    found.begun -= now
    found.deadline -= now
    found.budget = SimpleNamespace(trained=trained, spent=rounds, longest_figure=longest)
    found.taken = step - 1
    control = SimpleNamespace(should_training_stop=False, should_save=False)
    found.on_step_end(None, SimpleNamespace(global_step=step, max_steps=steps), control)
    assert (found.steps is not None) == control.should_training_stop == control.should_save
    return found.steps


def naive(now, deadline, step, trained, rounds=0, longest=1e9):
    """Steps in all, by trying: each costs what the ones before did, and a share of it for rounds;
    the figure at the end takes a twentieth of all steps, or the longest that it can."""
    each, more = trained / step, 0
    while (
        now + more * each * (1 + rounds / trained) + min((step + more) * each / 20, longest)
        < deadline
    ):
        more += 1
    return step + more


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("now", "step", "steps", "trained"),
    [
        (50, 100, 300, 45),
        (50, 100, 150, 45),
        (60, 300, 700, 50),
        (86, 500, 900, 80),
        (20, 50, 100, 19),  # half of the steps, and more than half of the time to come
    ],
)
def test_steps_are_those_that_there_is_time_for(now, step, steps, trained):
    for more in ((0, 1e9), (5, 1e9), (5, 0.5)):
        expected = naive(now, 100, step, trained, *more)
        assert abs(paced(now, 100, step, steps, trained, *more) - expected) <= 1


@pytest.mark.usefixtures("clock")
def test_what_is_near_enough_early_or_nearly_over_is_left_alone():
    fitting = naive(50, 100, 1000, 45)
    assert paced(50, 100, 1000, fitting + 10, 45) is None
    assert paced(40, 100, 400, 900, 36) is None  # before the first mark
    assert paced(95, 100, 100, 900, 90) is None  # too little is left
    assert paced(50, 100, 300, 300, 45) is None  # the last step


@pytest.mark.parametrize("deadline", [0.0, -5])
def test_a_deadline_that_has_passed_is_refused_before_any_step(book, tmp_path, deadline):
    with pytest.raises(StrategyError, match=r"has passed: pass seconds of time.monotonic\(\)"):
        train(book, tmp_path / "out", deadline=deadline)
    assert not (tmp_path / "out.training").exists()


@pytest.mark.parametrize("deadline", ["soon", float("nan"), True])
def test_other_deadlines_are_refused(book, tmp_path, deadline):
    with pytest.raises(InputError, match=r"deadline=.*: pass seconds"):
        train(book, tmp_path / "out", deadline=deadline)


def test_processes_have_no_common_deadline(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StrategyError, match=r"beside several processes.*: pass steps"):
        Pace(time.monotonic() + 60)
