"""`unmask evaluate`: screen and options; the work is tested elsewhere."""

import inspect

import pytest
import torch

from unmask import evaluation

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
    assert "known: digits, shidoku, sudoku" in call("evaluate", "letters").error()
