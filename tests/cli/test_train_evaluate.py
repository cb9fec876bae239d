"""`unmask train` and `unmask evaluate`: screen and options; the work is tested elsewhere."""

import inspect
import io

import pytest
import torch
from rich.console import Console

from unmask import evaluation, training
from unmask.cli import screen, train
from unmask.tasks import task

FIGURES = {"bits_per_token": 1.25, "parameters": 139717, "seconds": 3.5}


@pytest.fixture
def trained(monkeypatch):
    """`training.train` replaced by one that reports three times; its calls, as they came."""
    calls = []

    def fake(name, out, *, seed=0, resume=False, steps=None, report=None):
        calls.append(
            {"task": name, "out": str(out), "seed": seed, "resume": resume, "steps": steps}
        )
        data = task(name)
        for step in (1, 2, 3):
            extra = {"bound": 0.5, "samples": data.train[:2], "layout": data.layout}
            report(training.Progress(step, 3, 1.0 / step, **(extra if step == 2 else {})))
        return FIGURES

    assert inspect.signature(fake).parameters.keys() <= {
        "name", *inspect.signature(training.train).parameters
    }  # fmt: skip
    monkeypatch.setattr(training, "train", fake)
    return calls


def test_train_says_where_the_model_is(call, trained):
    done = call("train", "shidoku", "--seed", 4)
    assert done.code == 0
    assert trained == [
        {"task": "shidoku", "out": "runs/shidoku", "seed": 4, "resume": False, "steps": None}
    ]
    assert "unmask generate runs/shidoku" in done.out
    assert "139,717" in done.out
    assert done.err == "step 2/3: loss 0.500, held-out bound 0.500 nats (0.721 bits) per token\n"


def test_train_json(call, trained):
    said = call("train", "digits", "--out", "mine", "--resume", "--steps", 9, "--json").json
    assert (said["task"], said["folder"], said["figures"]) == ("digits", "mine", FIGURES)
    assert trained == [{"task": "digits", "out": "mine", "seed": 0, "resume": True, "steps": 9}]


def test_interrupt_says_how_to_go_on(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    line = ("train", "digits", "--out", "my model", "--seed", 3, "--steps", 50)
    again = "unmask train digits --out 'my model' --seed 3 --steps 50 --resume"
    assert again in call(*line).error(130)
    assert "unmask train shidoku --resume" in call("train", "shidoku", "--resume").error(130)


def test_train_refuses(call, tmp_path):
    assert "did you mean 'shidoku'?" in call("train", "shidok").error()
    (tmp_path / "taken").write_text("")
    assert "taken is a file" in call("train", "digits", "--out", "taken").error()
    assert "nothing to resume" in call("train", "shidoku", "--resume").error()


def test_screen_shows_bar_figures_and_samples(monkeypatch):
    told = io.StringIO()
    terminal = Console(file=told, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(screen, "err", lambda: terminal)
    monkeypatch.setattr(train, "watched", lambda: True)
    view, data = train._Screen("shidoku"), task("shidoku")
    with view.shown():
        view.report(training.Progress(20, 100, 0.75, 0.5, data.train[:4], data.layout))
    for words in ("20/100", "loss 0.750", "held-out bound 0.500", "samples at step 20"):
        assert words in told.getvalue()


ROWS = [
    {"figure": "bound", "preset": None, "bits": 1.9381, "standard_error": 0.014, "reference": 1.94},
    {"figure": "two-sample", "preset": "maskgit", "steps": 16, "accuracy": 0.5, "reference": None},
    {"figure": "two-sample", "preset": "annealed", "steps": 1000, "accuracy": 0.75},
]


@pytest.fixture
def evaluated(monkeypatch):
    calls = []
    real = inspect.signature(evaluation.evaluate)

    def fake(*arguments, **options):
        calls.append(real.bind(*arguments, **options).arguments)
        options["report"](0, 3, "bound")
        return ROWS

    monkeypatch.setattr(evaluation, "evaluate", fake)
    return calls


def test_evaluate_prints_a_table_for_each_figure(call, evaluated):
    done = call("evaluate", "digits", "--seed", 2, "--quick")
    assert done.code == 0
    assert done.out.count("reference") == 1
    bound, two_sample = done.out.split("two-sample")
    assert "1.938" in bound
    assert "preset" not in bound
    assert "1,000" in two_sample
    assert "bits" not in two_sample
    assert (evaluated[0]["task"], evaluated[0]["seed"], evaluated[0]["quick"]) == (
        "digits",
        2,
        True,
    )


def test_evaluate_json_and_model(call, evaluated, folders):
    said = call("evaluate", "shidoku", "--model", folders["shidoku"], "--json").json
    assert said["rows"] == ROWS
    assert said["model"] == str(folders["shidoku"])
    assert evaluated[0]["quick"] is False
    assert torch.is_tensor(next(evaluated[0]["model"].parameters()))


def test_evaluate_names_the_tasks(call):
    assert "known: digits, shidoku" in call("evaluate", "sudoku").error()
