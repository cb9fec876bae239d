"""Drawing by a race of noised logits: the law of the softmax, and the noise that ranks."""

import numpy as np
import pytest
import torch
from tests.reference.oracles import chi_square

import unmask
from unmask import Canvas, Sampling, SquaredDecay, Strategy, orders
from unmask.commit import Explicit, TopK
from unmask.core.random import Purpose, gumbel, uniform
from unmask.core.ranking import on_grid
from unmask.errors import StrategyError
from unmask.sampling import LinearDecay

LOGITS = torch.tensor([0.3, -1.0, 2.0, 0.9, -3.0, 0.0])
MASK = 5
NETWORK = unmask.wrap(lambda tokens: LOGITS.expand(*tokens.shape, 6), mask_id=MASK)


def once(draw, rows=4000, length=4, order=None):
    strategy = Strategy(TopK(Explicit([length])), order or orders.Random(), draw)
    return next(unmask.stream(NETWORK, Canvas.blank(rows, length), strategy, seed=1))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_the_law_is_the_softmax_at_the_temperature(temperature):
    tokens = once(Sampling(temperature, gumbel=True)).tokens
    law = (LOGITS[:MASK].double() / temperature).softmax(0)
    assert chi_square(torch.bincount(tokens.flatten(), minlength=5)[:5], law) > 1e-4
    other = (LOGITS[:MASK].double() / temperature / 1.3).softmax(0)
    assert chi_square(torch.bincount(tokens.flatten(), minlength=5)[:5], other) < 1e-6


def test_each_id_has_a_noise_of_its_own_and_the_winner_is_ranked_by_it():
    info = once(Sampling(1.0, gumbel=True), rows=3, order=orders.Noised())
    seeds = info.state.seed
    for row in range(3):
        for place in range(4):
            u = uniform(seeds[row], 0, place, Purpose.NOISE, torch.arange(6))[..., 0]
            noised = LOGITS.double() + gumbel(u)
            noised[MASK] = -torch.inf
            assert int(info.tokens[row, place]) == int(noised.argmax())
            expected = float(noised.log_softmax(0).max())
            found = info.proposal.noised_logprob[row, place]
            assert float(found) == pytest.approx(expected, abs=1e-5)
            assert info.score[row, place] == on_grid(found)


def test_filters_hold_in_a_race_too():
    tokens = once(Sampling(1.0, top_k=2, gumbel=True)).tokens
    assert set(tokens.unique().tolist()) == {2, 3}


def test_at_temperature_0_it_is_greedy():
    assert (once(Sampling(0.0, gumbel=True)).tokens == 2).all()


def test_lanes_are_independent_uniforms():
    seed = torch.arange(2000)
    one, other = (uniform(seed, 0, 0, Purpose.NOISE, lane)[..., 0] for lane in (0, 1))
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 4.5 / 2000**0.5
    assert torch.equal(one, uniform(seed, 0, 0, Purpose.NOISE)[..., 0])


@pytest.mark.parametrize(("start", "end"), [(0.8, 0.4), (1.5, 0.0)])
def test_linear_decay_is_that_of_diffusion_gemma(start, end):
    steps = 5
    progress = np.array([(i + 1) / steps for i in range(steps)])
    found = Sampling(LinearDecay(start, end)).temperatures(progress, np.full(steps, steps))
    wanted = [end + (start - end) * left / steps for left in range(steps, 0, -1)]
    assert found.tolist() == pytest.approx(wanted)
    with pytest.raises(StrategyError, match="temperature=-1"):
        LinearDecay(end=-1)


@pytest.mark.parametrize("start", [1.0, 0.6])
def test_squared_decay_is_that_of_esm3(start):
    steps = 5
    progress = np.array([(i + 1) / steps for i in range(steps)])
    found = Sampling(SquaredDecay(start)).temperatures(progress, np.full(steps, steps))
    wanted = [max(start - i / (steps - 1), 0.001) ** 2 for i in range(steps)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)
    one = Sampling(SquaredDecay(start)).temperatures(np.ones(1), np.ones(1, np.int64))
    assert one.tolist() == pytest.approx([start**2])
