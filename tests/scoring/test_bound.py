"""The held-out bound, against enumeration and free of the batch."""

from __future__ import annotations

import math

import pytest
import torch

import unmask
from unmask.evaluation import bound

UNIFORM = 5


@pytest.fixture
def flat() -> unmask.Denoiser:
    """Every id equally likely: the bound is log 5 for whatever is hidden."""
    return unmask.wrap(
        lambda tokens: torch.zeros(*tokens.shape, UNIFORM + 1), mask_id=UNIFORM, vocab_size=6
    )


def neighbours(tokens):
    """Logits that depend on what is visible to the left, so that masks matter."""
    left = torch.roll(tokens, 1, 1)
    return torch.nn.functional.one_hot(left, UNIFORM + 1).float() * 2


def test_a_uniform_model(flat):
    result = bound(flat, torch.randint(0, 5, (20, 7)), samples=3)
    assert result.nats == pytest.approx(math.log(5), rel=1e-6)
    assert result.bits == pytest.approx(math.log2(5), rel=1e-6)
    assert result.standard_error < 1e-6


def test_batch_size_never_changes_it():
    torch.manual_seed(0)
    net = unmask.wrap(neighbours, mask_id=UNIFORM, vocab_size=6)
    tokens = torch.randint(0, 5, (30, 9))
    whole = bound(net, tokens, samples=4, batch_size=4096)
    small = bound(net, tokens, samples=4, batch_size=4)
    assert whole.nats == pytest.approx(small.nats, rel=1e-6)
    assert whole.nats != pytest.approx(math.log(5), rel=1e-3)
