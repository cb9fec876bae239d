"""What every test runs under: one thread, and property tests that always try the same examples."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch loads, and by child processes

import importlib
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tests.reference.caches import forget_devices

torch.set_num_threads(1)

settings.register_profile("unmask", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("unmask")


@pytest.fixture
def elsewhere(monkeypatch):
    """`benchmarks/_far.py`: a device that says that it is elsewhere, played by the CPU."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    forget_devices()
    yield importlib.import_module("_far")
    del sys.modules["_far"]
    forget_devices()


def pytest_itemcollected(item):
    """Names with an address differ from process to process, and the tests run in several."""
    assert " at 0x" not in item.nodeid, f"{item.nodeid}: pass ids= to parametrize"
