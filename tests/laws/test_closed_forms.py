"""Laws that need no enumeration: permutations and parity."""

import math

import numpy as np
import pytest
import torch
from tests.laws.plain import in_order
from tests.reference.oracles import ParityOracle, PermutationOracle, chi_square

import unmask
from unmask import orders, presets

ALPHA = 1e-4


def sampled(oracle, strategy, rows=10_000):
    denoiser = unmask.wrap(oracle, mask_id=oracle.mask_id)
    return unmask.generate(
        denoiser, strategy=strategy, batch_size=rows, length=oracle.length, seed=2
    )


def permutation_share(oracle, strategy):
    tokens = sampled(oracle, strategy)
    valid = tokens.sort(1).values == torch.arange(oracle.length)
    return int(valid.all(1).sum()), len(tokens)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_permutation_in_one_step_is_valid_n_factorial_over_n_to_the_n(n):
    valid, rows = permutation_share(PermutationOracle(n), presets.random_order(steps=1))
    p = math.factorial(n) / n**n
    assert chi_square(np.array([valid, rows - valid]), np.array([p, 1 - p])) > ALPHA


@pytest.mark.parametrize("preset", [presets.random_order, presets.confidence, presets.maskgit])
def test_permutation_one_at_a_time_is_always_valid(preset):
    valid, rows = permutation_share(PermutationOracle(5), preset(steps=5))
    assert valid == rows
    fewer, rows = permutation_share(PermutationOracle(5), preset(steps=4))
    assert fewer < rows


@pytest.mark.parametrize("counts", [(1, 1, 1, 1, 1), (4, 1), (2, 2, 1)])
def test_parity_holds_when_the_last_step_reveals_one_token(counts):
    tokens = sampled(ParityOracle(3, 5), in_order(orders.Random(), counts))
    assert bool((tokens.sum(1) % 3 == 0).all())
    # Uniform over the sequences that have it: the first four tokens are free.
    place = torch.tensor([27, 9, 3, 1])
    assert chi_square(torch.bincount((tokens[:, :4] * place).sum(1)), np.ones(81)) > ALPHA


@pytest.mark.parametrize("counts", [(5,), (3, 2), (1, 1, 1, 2)])
def test_parity_holds_once_in_v_when_the_last_step_reveals_more(counts):
    tokens = sampled(ParityOracle(3, 5), in_order(orders.Random(), counts))
    assert chi_square(torch.bincount(tokens.sum(1) % 3, minlength=3), np.ones(3)) > ALPHA
