"""A Markov chain: what happens when several tokens are committed together."""

import numpy as np
import pytest
import torch
from tests.laws.chain import MARKOV, bigram_counts, bigram_kl, chains_of, nats, true_nats
from tests.reference.oracles import JointOracle, MarkovOracle, chi_square

from unmask import presets

ALPHA = 1e-4
ROWS = 500
STEPS = (4, 8, 16, 32)
METHODS = {
    "random": (presets.random_order, {}),
    "ancestral": (presets.mdlm, {}),
    "confidence": (presets.confidence, {}),
    "maskgit 0": (presets.maskgit, {"choice_temperature": 0}),
    "maskgit 4.5": (presets.maskgit, {"choice_temperature": 4.5}),
}


@pytest.fixture(scope="module")
def chains():
    """Tokens (rows,32) by method and number of steps."""
    return {
        name: {
            steps: chains_of(preset(steps=steps, schedule="linear", **options), ROWS)
            for steps in STEPS
        }
        for name, (preset, options) in METHODS.items()
    }


@pytest.fixture(scope="module")
def kl(chains):
    return {
        name: [bigram_kl(by_steps[steps]) for steps in STEPS] for name, by_steps in chains.items()
    }


def test_markov_oracle_agrees_with_the_enumerated_joint():
    """The same chain, N=4 and three states, as a joint that is summed."""
    rows = np.random.default_rng(3).dirichlet(np.ones(3), 3)
    chain = MarkovOracle(rows, length=4)
    start = chain.stationary.numpy()
    joint = np.einsum("a,ab,bc,cd->abcd", start, rows, rows, rows)
    every = torch.cartesian_prod(*[torch.arange(4)] * 4)
    torch.testing.assert_close(chain(every), JointOracle(joint)(every), rtol=1e-4, atol=1e-5)


def test_random_order_on_the_chain(kl):
    assert kl["random"][:3] == pytest.approx([0.058, 0.016, 0.0035], rel=0.5, abs=0.003)
    assert kl["random"][3] < 0.004


def test_ancestral_on_the_chain(kl):
    """Positions that happen to fall into one step are drawn together: worse than exact counts."""
    noise = 63 / (2 * 31 * ROWS)
    assert kl["ancestral"] == pytest.approx([0.067, 0.024, 0.008, 0.0031], rel=0.5, abs=2 * noise)
    assert kl["ancestral"] == sorted(kl["ancestral"], reverse=True)
    assert all(a > r for a, r in zip(kl["ancestral"][:3], kl["random"][:3], strict=True))


def test_state_scored_confidence_on_the_chain(kl):
    """Exact one at a time; worse than random order before, because it commits what is entangled."""
    assert kl["confidence"][3] < 0.004
    assert kl["confidence"] == sorted(kl["confidence"], reverse=True)
    assert all(c > 2 * r for c, r in zip(kl["confidence"][:3], kl["random"][:3], strict=True))


def test_draw_then_choose_collapses_on_the_chain(kl):
    assert kl["maskgit 0"] == sorted(kl["maskgit 0"]), "more steps make it worse"
    assert kl["maskgit 0"][0] > 0.4
    assert kl["maskgit 0"][3] > 0.6


def test_choice_noise_repairs_most_of_draw_then_choose(kl):
    assert kl["maskgit 4.5"] == pytest.approx([0.046, 0.025, 0.037, 0.064], rel=0.5)


def test_a_better_likelihood_is_not_a_better_sampler(chains):
    """The collapsed sampler has the best likelihood by far."""
    assert nats(chains["random"][32]) == pytest.approx(true_nats(), abs=0.02)
    assert nats(chains["maskgit 0"][32]) < true_nats() - 0.4


def test_exact_orders_give_the_bigrams_of_the_chain(chains):
    """Disjoint pairs of distant places would be independent; 31 overlapping ones are thinned to 4.

    Places 0-1, 10-11, 20-21 and 30-31 are nearly independent: P^9 has forgotten where it was.
    """

    def thinned(tokens):
        return sum(bigram_counts(tokens[:, i : i + 2]) for i in (0, 10, 20, 30))

    for name in ("random", "confidence"):
        assert chi_square(thinned(chains[name][32]), MARKOV.bigrams) > ALPHA
    assert chi_square(thinned(chains["random"][4]), MARKOV.bigrams) < ALPHA
