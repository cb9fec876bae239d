"""Which estimator scatters less: the order that docs/objectives.md gives, on a small chain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.reference.oracles import MarkovOracle
from torch import Tensor

import unmask
from unmask import objectives
from unmask.core.random import derive
from unmask.objectives.corruption import independent_times, offset_times, slot_times

IDS, LENGTH, ROWS, BATCH = 7, 16, 12_000, 8


def transition() -> np.ndarray:
    """x goes to 3x, 3x + 1 or 3x + 2 modulo 7: a row's cost is the same for every sequence."""
    step = np.full((IDS, IDS), 1e-6)
    for x in range(IDS):
        for ahead in range(3):
            step[x, (3 * x + ahead) % IDS] += 1 / 3
    return step / step.sum(1, keepdims=True)


def sequences() -> Tensor:
    draw = np.random.default_rng(0)
    ids = [draw.integers(IDS, size=ROWS)]
    for _ in range(LENGTH - 1):
        ids.append((3 * ids[-1] + draw.integers(3, size=ROWS)) % IDS)
    return torch.from_numpy(np.stack(ids, 1))


@pytest.fixture(scope="module")
def estimate():
    """(objective, times (ROWS,)) -> (ROWS,) nats per token."""
    oracle = MarkovOracle(transition(), LENGTH)
    net = unmask.wrap(oracle, mask_id=oracle.mask_id, vocab_size=oracle.vocab_size)
    tokens, seeds = sequences(), derive(4, ROWS)
    free = torch.ones_like(tokens, dtype=torch.bool)

    def of(objective, time: Tensor) -> Tensor:
        return objective(net, tokens, free, seeds, time=time).per_example / LENGTH

    return of


def test_estimators_in_order(estimate):
    """Each step of the order is over 3 %; the deviation's own error is below 1 %."""
    time = independent_times(derive(8, ROWS))
    spread = [
        float(estimate(objective, time).std())
        for objective in (
            objectives.complementary,
            objectives.count,
            objectives.bernoulli_by_count,
            objectives.bernoulli,
        )
    ]
    assert all(low * 1.03 < high for low, high in pairwise(spread))
    # A pair costs two forwards, and is worth more than two independent rows.
    assert spread[0] < 0.9 * spread[1] / 2**0.5


def test_ways_of_spreading_a_batch_in_order(estimate):
    slot, steps = torch.arange(ROWS) % BATCH, ROWS // BATCH
    seeds = derive(9, ROWS)
    each = torch.arange(BATCH)
    ways = (
        slot_times(seeds, slot, BATCH),
        torch.cat([offset_times(int(s), each, BATCH) for s in derive(10, steps)]),
        independent_times(seeds),
    )
    spread = [float(estimate(objectives.count, t).view(-1, BATCH).mean(1).std()) for t in ways]
    assert all(low * 1.1 < high for low, high in pairwise(spread))
