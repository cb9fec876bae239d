"""Benchmarks in this process: what they import by bare names is forgotten afterwards."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HELPERS = [path.stem for path in BENCHMARKS.glob("_*.py")]


@pytest.fixture
def found(monkeypatch):
    """The folder of benchmarks on the path, as it is for a script in it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name in [*HELPERS, *(path.stem for path in BENCHMARKS.glob("[!_]*.py"))]:
        if getattr(sys.modules.get(name), "__file__", None) == str(BENCHMARKS / f"{name}.py"):
            del sys.modules[name]


@pytest.fixture
def helper(found):
    """Import a helper, or a script without running it, by name."""
    return importlib.import_module


@pytest.fixture
def run(found, monkeypatch, capsys):
    """Run a script with options -> what it printed."""

    def call(name: str, *options: object) -> str:
        path = str(BENCHMARKS / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, options)])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return call


@pytest.fixture
def tables(run, tmp_path):
    """Run a script with --quick -> its tables, from the JSON file."""

    def call(name: str, *options: object, file: str | None = None) -> dict:
        printed = run(name, "--quick", "--threads", 1, "--out", tmp_path, *options)
        told = json.loads((tmp_path / f"{file or name}.json").read_text())
        assert told["about"] in printed
        assert not list(tmp_path.glob(".*")), "a temporary file was left"
        return told["tables"]

    return call
