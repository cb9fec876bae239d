"""Kernels run on the GPU where there is one, and in Triton's interpreter elsewhere.

The interpreter must be asked for before Triton is imported, by whatever test, and not in a process
that goes on to other tests: `test_interpreter.py` runs the tests of kernels in one of their own.
"""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ON_GPU = torch.cuda.is_available() and not INTERPRETED

collect_ignore = [] if ON_GPU or INTERPRETED else ["test_fused.py", "test_uniforms.py"]


@pytest.fixture
def device():
    """Where the kernels run."""
    return "cuda" if ON_GPU else "cpu"
