"""Training that takes no time, for the commands that train or write what trains."""

import inspect

import pytest
from tests.data.conftest import tokenizer  # noqa: F401 (a fixture)

from unmask import training
from unmask.tasks import task

FIGURES = {"bits_per_token": 1.25, "parameters": 139717, "seconds": 3.5}


@pytest.fixture
def trained(monkeypatch):
    """`training.train` replaced by one that reports three times; its calls, as they came."""
    calls = []

    def fake(name, out, *, recipe, seed=0, resume=False, overwrite=False, report=None):
        calls.append(
            {"task": name, "out": str(out), "seed": seed, "resume": resume, "recipe": recipe}
        )
        if overwrite:
            calls[-1]["overwrite"] = True
        data = task(name if isinstance(name, str) else "shidoku")
        for step in (1, 2, 3):
            extra = {"bound": 0.5, "samples": data.train[:2], "layout": data.layout}
            report(training.Progress(step, 3, 1.0 / step, **(extra if step == 2 else {})))
        return FIGURES

    assert inspect.signature(fake).parameters.keys() <= {
        "name", *inspect.signature(training.train).parameters
    }  # fmt: skip
    monkeypatch.setattr(training, "train", fake)
    return calls
