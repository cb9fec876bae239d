"""`unmask train --budget`: a run of a given cost."""

import pytest

from unmask.models.checkpoint import read_card
from unmask.training import budgeting, pace, run

LINE = ("train", "--data", "book.txt", "--out", "book")


@pytest.fixture(autouse=True)
def book(call, tmp_path):
    (tmp_path / "book.txt").write_text("the quick brown fox jumps over the lazy dog. " * 200)


def recipe():
    return read_card("book").about["recipe"]


def test_tokens(call):
    done = call(*LINE, "--budget", 20_000, "--set", "data.length=16", "--samples", 0)
    assert "chosen for the budget: 20000, 20,000 tokens" in done.err
    said = recipe()
    assert 15_000 <= said["steps"] * said["batch_size"] * 16 <= 20_000
    assert said["backbone"]["hidden_size"] == 64


def test_time_is_measured_and_what_is_set_stays(call, monkeypatch):
    measured = []

    def seconds(recipe, steps, *, material):
        measured.append(recipe)
        return 2.0

    monkeypatch.setattr(budgeting, "seconds_of_step", seconds)
    monkeypatch.setattr(pace, "WORTH", 1e9)  # steps stay those of the plan
    sets = ("--set", "data.length=16", "--set", "batch_size=5", "--set", "precision=float32")
    done = call(*LINE, "--budget", "40s", *sets)
    assert "chosen for the budget: 40s, 2,000 ms a step" in done.err
    said = recipe()
    assert 15 <= said["steps"] <= 20
    assert (said["batch_size"], said["precision"]) == (5, "float32")
    assert {each.batch_size for each in measured} == {5}


def test_a_real_clock(tmp_path):
    from unmask.data import read

    corpus = read(tmp_path / "book.txt", length=16)
    chosen, why = budgeting.plan(corpus, "2m")
    assert chosen.steps > 1
    assert "ms a step" in why


def test_a_run_goes_on_as_it_was_planned(call, monkeypatch):
    line = (*LINE, "--budget", 40_000, "--set", "data.length=16", "--samples", 0)
    steps = []

    def stop(self, args, state, control, **_):
        steps.append(state.global_step)
        if state.global_step == 4:
            self._ask(2, None)

    with monkeypatch.context() as patch:
        patch.setattr(run.Stopping, "on_step_begin", stop, raising=False)
        again = call(*line).error(130)
    assert "--budget 40000" in again
    assert "--resume" in again
    monkeypatch.setattr(budgeting, "plan", None)  # it is not made again
    call(*line, "--resume")
    said = recipe()
    assert steps[-1] == 4 < said["steps"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--budget", "soon"), "such as 90s, 30m"),
        (("--budget", "30m", "--steps", 5), "beside steps"),
        (("--budget", "30m", "--resume"), "no checkpoint of a run to resume"),
    ],
)
def test_what_cannot_be(call, words, told):
    assert told in call(*LINE, *words).error()


def test_recipes_of_tasks_are_fixed(call):
    assert "pass --steps" in call("train", "shidoku", "--budget", "30m").error()


def test_several_processes_take_tokens(call, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "a number of tokens" in call(*LINE, "--budget", "30m").error()
