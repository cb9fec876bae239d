"""Half-precision networks give the frequencies of their probabilities (invariant 6)."""

import pytest
import torch
from tests.conformance.catalogue import PRESETS, greedy, planned
from tests.reference.network import Network

import unmask

ROWS, LENGTH = 600, 8
FAR = {torch.bfloat16: 200, torch.float16: 2000}  # where the dtype only holds whole numbers


class Coin(Network):
    """Ids 0 and 1, about .9 and .1 before the dtype rounds their logits; `chance` is after."""

    vocab_size, mask_id = 3, 2

    def __init__(self, dtype):
        p = torch.tensor([0.9, 0.1, 0.5], dtype=torch.float64)
        self.row = (p.log() + FAR[dtype]).to(dtype)
        self.chance = float(self.row[:2].double().softmax(0)[0])

    def hidden(self, tokens, *, valid):
        return self.row.expand(*tokens.shape, 3)

    def logits(self, hidden):
        return hidden.clone()


# In one step every unknown position is drawn and kept, so the order cannot bias the tokens.
ONE_STEP = [
    entry
    for entry in PRESETS
    if planned(strategy := entry.make(4, 1, "linear")) and not greedy(strategy)
]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("entry", ONE_STEP, ids=lambda e: e.name)
def test_frequencies_are_those_of_the_probabilities(entry, dtype):
    # Fixed seeds, so no flake; over seeds, 4.4 standard errors fail once in 100,000.
    network = Coin(dtype)
    strategy = entry.make(LENGTH, 1, "linear").but(sampling=unmask.Sampling())
    tokens = unmask.generate(network, unmask.Canvas.blank(ROWS, LENGTH), strategy, seed=0)
    share = float((tokens == 0).double().mean())
    error = (network.chance * (1 - network.chance) / tokens.numel()) ** 0.5
    assert abs(share - network.chance) < 4.4 * error


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_one_at_a_time_too(dtype):
    network = Coin(dtype)
    canvas = unmask.Canvas.blank(ROWS, LENGTH)
    tokens = unmask.generate(network, canvas, unmask.presets.first_hitting(), seed=0)
    share = float((tokens == 0).double().mean())
    error = (network.chance * (1 - network.chance) / tokens.numel()) ** 0.5
    assert abs(share - network.chance) < 4.4 * error


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gumbel_noise_in_the_dtype_of_the_logits_would_fail(dtype):
    """The negative control: what public samplers do, under the same bound."""
    network = Coin(dtype)
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(ROWS * LENGTH, 2, generator=generator).to(dtype)
    race = network.row[:2] - torch.log(-torch.log(u))
    share = float((race.argmax(1) == 0).double().mean())
    error = (network.chance * (1 - network.chance) / (ROWS * LENGTH)) ** 0.5
    assert abs(share - network.chance) > 4.4 * error
