"""Ids in tensors."""

import pytest
import torch

from unmask.core.ids import are_integers

INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]
OTHERS = [torch.bool, torch.float16, torch.bfloat16, torch.float64, torch.complex64]


@pytest.mark.parametrize("dtype", INTEGERS + OTHERS)
def test_integers_are_neither_bools_nor_floats_nor_complex(dtype):
    assert are_integers(torch.zeros(2, 3, dtype=dtype)) == (dtype in INTEGERS)
