"""The exact likelihood of an order: it sums to 1, and agrees with loops written out here."""

import math

import pytest
import torch
from tests.conformance.toys import critic

import unmask
from unmask import orders, presets, scoring
from unmask.commit import Explicit, OneAtATime, TopK
from unmask.errors import StrategyError
from unmask.growth import EndDensity

from .worlds import JOINT, LENGTH, MASK, SPACE, leave_one_out, liar, logp, truth

COUNTS = {
    "1+1+1+1": TopK(OneAtATime()),
    "2+2": TopK(Explicit([2, 2])),
    "1+3": TopK(Explicit([1, 3])),
    "4": TopK(Explicit([4])),
}
ORDERS = {
    "left to right": orders.LeftToRight(),
    "halton": orders.Halton(2, 2),
    "probability": orders.Probability(),
    "margin": orders.Margin(),
    "entropy": orders.Entropy(),
}
SEEDED = {
    "random": orders.Random(),
    "noisy entropy": orders.ChoiceNoise(orders.Entropy(), 2.0),
}


def strategy(order, counts="2+2", **parts):
    return unmask.Strategy(commit=COUNTS[counts], order=order, name="tested", **parts)


def nats(denoiser, strategy, **of_rows):
    """(81,) over the whole space."""
    return unmask.score(denoiser, SPACE, by=scoring.Ordered(strategy), **of_rows).per_example


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("name", ORDERS)
def test_it_sums_to_one_whatever_the_network_says(name, counts):
    assert float((-nats(liar(), strategy(ORDERS[name], counts))).exp().sum()) == pytest.approx(1)


@pytest.mark.parametrize("name", SEEDED)
def test_a_random_order_sums_to_one_for_each_seed(name):
    by = scoring.Ordered(strategy(SEEDED[name]))

    def mass(seed):
        # One at a time, so that every sequence has the order of row 0.
        each = [unmask.score(liar(), row[None], by=by, seed=seed).per_example for row in SPACE]
        return torch.cat(each).neg().exp()

    first, second = mass(0), mass(3)
    assert float(first.sum()) == pytest.approx(1)
    assert float(second.sum()) == pytest.approx(1)
    assert not torch.allclose(first, second)


def test_an_order_that_saw_the_draw_would_not_sum_to_one(monkeypatch):
    """Negative control: let the order see the tokens, and rank by them."""
    monkeypatch.setattr(unmask.scoring.ordered, "_Withheld", lambda proposal, name: proposal)
    peeking = strategy(lambda state, proposal: proposal.logprob)
    total = float((-nats(liar(), peeking)).exp().sum())
    assert abs(total - 1) > 0.02


def test_pseudo_likelihood_does_not_sum_to_one():
    result = unmask.score(truth(), SPACE, by=scoring.PseudoLikelihood())
    assert result.kind == "pseudo"
    assert abs(float((-result.per_example).exp().sum()) - 1) > 0.02


@pytest.mark.parametrize("name", ORDERS | SEEDED)
def test_one_at_a_time_on_true_conditionals_it_is_the_truth(name):
    found = nats(truth(), strategy((ORDERS | SEEDED)[name], "1+1+1+1"))
    assert torch.allclose(found, -JOINT.log(), atol=2e-5)


def test_left_to_right_is_autoregression():
    found, net = nats(liar(), strategy(orders.LeftToRight(), "1+1+1+1")), liar()
    for row, tokens in enumerate(SPACE):
        total = 0.0
        for i in range(LENGTH):
            shown = torch.cat([tokens[:i], torch.full((LENGTH - i,), MASK)])
            total -= float(logp(net, shown)[i, tokens[i]])
        assert float(found[row]) == pytest.approx(total, abs=1e-5)


def test_confidence_two_at_a_time_by_hand():
    found, net = nats(liar(), presets.confidence(steps=2)), liar()
    for row in range(0, len(SPACE), 5):
        shown, total = torch.full((LENGTH,), MASK), 0.0
        while (shown == MASK).any():
            p = logp(net, shown)
            score = p.amax(1).masked_fill(shown != MASK, -math.inf)
            for i in score.argsort(descending=True, stable=True)[:2].tolist():
                total -= float(p[i, SPACE[row, i]])
                shown[i] = SPACE[row, i]
        assert float(found[row]) == pytest.approx(total, abs=1e-5)


def test_a_span_left_out():
    asked = torch.tensor([True, False, False, True]).expand(len(SPACE), -1)
    by = scoring.Ordered(strategy(orders.Entropy(), "1+1+1+1"))
    found = unmask.score(truth(), SPACE, asked, by=by)
    expected = [leave_one_out(tokens, asked[0]) for tokens in SPACE]
    assert torch.allclose(found.per_example, torch.tensor(expected).double(), atol=2e-5)
    assert (found.kind, found.tokens) == ("exact", 2 * len(SPACE))


SHAPED = [
    {"sampling": unmask.Sampling(temperature=0.6)},
    {"sampling": unmask.Sampling(top_k=2)},
    {"sampling": unmask.Sampling(1.4, top_p=0.8)},
    {"sampling": unmask.Sampling(lambda progress: 1.5 - progress)},
    {"constraint": unmask.Constraint(forbidden=[1])},
]


@pytest.mark.parametrize("parts", SHAPED)
def test_what_is_scored_is_what_the_strategy_draws_from(parts):
    found = nats(liar(), strategy(orders.Entropy(), **parts))
    assert float((-found).exp().sum()) == pytest.approx(1)
    assert not torch.allclose(found, nats(liar(), strategy(orders.Entropy())))


def test_what_is_scored_is_what_may_be_drawn():
    found = nats(liar(), strategy(orders.Entropy()), legal=~torch.eye(4, dtype=torch.bool))
    assert float((-found).exp().sum()) == pytest.approx(1)
    assert not torch.allclose(found, nats(liar(), strategy(orders.Entropy())))
    assert torch.equal(found.isinf(), (torch.arange(4) == SPACE).any(1))


def test_parts_that_differ_by_row_keep_to_their_rows_in_small_batches():
    steps = [1 + row % 4 for row in range(len(SPACE))]
    legal = torch.ones(81, 4, 4, dtype=torch.bool)
    legal[::2, 0, 2] = False
    by, own = scoring.Ordered(presets.confidence(steps=9)), {"steps": steps, "legal": legal}
    whole = unmask.score(liar(), SPACE, by=by, **own).per_example
    small = unmask.score(liar(), SPACE, by=by, batch_size=7, **own).per_example
    assert torch.equal(whole, small)
    for row in (0, 1, 38, 80):
        alone = scoring.Ordered(presets.confidence(steps=steps[row]))
        found = unmask.score(liar(), SPACE[[row]], by=alone, legal=legal[[row]]).per_example
        assert float(found) == pytest.approx(float(whole[row]), abs=1e-6)
    impossible = legal[:, 0].gather(1, SPACE[:, :1]).squeeze(1).logical_not()
    assert torch.equal(whole.isinf(), impossible)
    assert impossible.any()


def by_logprob(state, proposal):
    return proposal.logprob


class ByKept(orders.Order):
    needs = frozenset({"kept_logprob"})

    def __call__(self, state, proposal):
        return proposal.kept_logprob


def by_token(state, proposal):
    return proposal.token.double()


@pytest.mark.parametrize("order", [by_logprob, ByKept(), by_token])
def test_an_order_of_ones_own_that_ranks_draws_shows_when_it_runs(order):
    by = scoring.Ordered(strategy(order))
    with pytest.raises(StrategyError, match="draws tokens and then ranks them"):
        unmask.score(truth(), SPACE, by=by)


def test_a_temperature_that_falls_to_0_shows_when_it_is_there():
    by = scoring.Ordered(strategy(orders.Random(), sampling=unmask.Sampling(unmask.Annealed())))
    with pytest.raises(StrategyError, match="draws greedily"):
        unmask.score(truth(), SPACE, by=by)


REFUSED = {
    "annealed": (presets.annealed(), "draws tokens and then ranks them"),
    "maskgit": (presets.maskgit(), "draws tokens and then ranks them"),
    "critic": (presets.token_critic(critic, remask=False), "draws tokens and then ranks them"),
    "revising": (presets.annealed(remask=True), "may revise"),
    "greedy": (presets.confidence(temperature=0), "draws greedily"),
    "growing": (presets.entropy_bound().but(growth=EndDensity(end_id=3)), "changes the lengths"),
    "not called": (presets.confidence, r"presets\.confidence\(steps=16\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_choice_followed_by_a_draw(name):
    refused, words = REFUSED[name]
    with pytest.raises(StrategyError, match=words):
        scoring.Ordered(refused)


def test_an_order_of_ones_own_may_read_the_state_but_not_the_truth():
    """Were tokens under the masks shown, this order would follow them."""

    def follow(state, proposal):
        return state.tokens.double()

    found = nats(liar(), strategy(follow))
    assert float((-found).exp().sum()) == pytest.approx(1)
