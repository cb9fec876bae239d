"""Every estimator of the bound against enumeration: its expectation is −log p(x), for every x.

The public functions run on every mask that a time allows; only the network's answer is replaced, by
float64 conditionals of an enumerated joint. What is integrated is the code's own weight.
"""

from __future__ import annotations

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from tests.reference.oracles import joint_3_4
from torch import Tensor

import unmask
from unmask import objectives, schedules
from unmask.objectives import Reading, inclusion, nelbo

VOCAB, LENGTH, MASK = 3, 4, 3
STATES = torch.tensor(list(itertools.product(range(VOCAB), repeat=LENGTH)))  # (81,4)
MASKS = torch.tensor(list(itertools.product([False, True], repeat=LENGTH)))  # (16,4)
JOINT = torch.from_numpy(joint_3_4()).flatten()
TRUTH = -JOINT.log()
BINARY, TERNARY = torch.tensor([8, 4, 2, 1]), torch.tensor([27, 9, 3, 1])
NODES = 48


def crossed(ratio: Tensor) -> Tensor:
    return (1 - ratio) ** 1.5


SCHEDULES = {
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "cosine_mdlm": schedules.cosine_mdlm,
    "arccos": schedules.arccos,
    "power(3)": schedules.power(3),
    "a callable": schedules.custom(crossed),
}


def costs() -> Tensor:
    """(81,16,4) −log p(x_i | what the mask leaves visible), by summing the joint."""
    out = torch.zeros(len(STATES), len(MASKS), LENGTH, dtype=torch.float64)
    for s, m in itertools.product(range(len(STATES)), range(len(MASKS))):
        agrees = ((STATES[s] == STATES) | MASKS[m]).all(1)
        for i in range(LENGTH):
            right = agrees & (STATES[:, i] == STATES[s, i])
            out[s, m, i] = JOINT[agrees].sum().log() - JOINT[right].sum().log()
    return out


COSTS = costs()


def exact_read(denoiser, batch, **_) -> Reading:
    """`read_corrupted` with the true conditionals in float64."""
    state, mask = (batch.tokens * TERNARY).sum(1), (batch.masked * BINARY).sum(1)
    return Reading(torch.empty(0), COSTS[state, mask][batch.masked])


def quadrature(ratio: schedules.Schedule) -> tuple[Tensor, Tensor]:
    """Times and weights of ∫ du over (0, 1): Gauss–Legendre between the jumps of ⌈n·γ(u)⌉.

    In v, u = sin²(πv/2), so that the ends of the schedules are smooth.
    """
    jumps = ratio.inverse(torch.arange(LENGTH - 1, 0, -1).double() / LENGTH)
    edges = torch.cat([torch.zeros(1), 2 / math.pi * jumps.sqrt().asin(), torch.ones(1)]).double()
    x, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(NODES))
    low, wide = edges[:-1, None], edges.diff()[:, None]
    v = (low + wide * (x + 1) / 2).flatten()
    weight = (wide * w / 2).flatten() * math.pi / 2 * torch.sin(math.pi * v)
    return torch.sin(math.pi / 2 * v) ** 2, weight


def law_of_counts(ratio: schedules.Schedule, time: Tensor) -> Tensor:
    """(Q,16) probability of each mask: ⌈n·γ(u)⌉ positions, each set of them alike."""
    k = (LENGTH * ratio(time)).ceil().clamp(min=1)
    sets = torch.tensor([math.comb(LENGTH, int(n)) for n in k]).double()
    return (MASKS.sum(1) == k[:, None]).double() / sets[:, None]


def law_of_inclusion(ratio: schedules.Schedule, time: Tensor) -> Tensor:
    """(Q,16) probability of each mask: every position with probability γ(u)."""
    m, k = ratio(time)[:, None], MASKS.sum(1)
    return m**k * (1 - m) ** (LENGTH - k)


ESTIMATORS = {
    "count": (objectives.count, law_of_counts),
    "complementary": (objectives.complementary, law_of_counts),
    "bernoulli": (objectives.bernoulli, law_of_inclusion),
    "bernoulli_by_count": (objectives.bernoulli_by_count, law_of_inclusion),
}


@pytest.fixture
def expectation(monkeypatch):
    """(name, schedule, options) -> (81,) expected value of the estimator, as the code has it."""
    forced: list[Tensor] = []
    monkeypatch.setattr(import_module("unmask.objectives.evaluate"), "read_corrupted", exact_read)
    monkeypatch.setattr(nelbo, "hide", lambda *_: forced[0])
    monkeypatch.setattr(inclusion, "hide_each", lambda *_: forced[0])
    net = unmask.wrap(lambda t: None, mask_id=MASK, vocab_size=VOCAB + 1)

    def of(estimator, law, ratio, **options) -> Tensor:
        time, weight = quadrature(ratio)
        probability = law(ratio, time) * weight[:, None]
        q, m = (probability > 0).nonzero(as_tuple=True)
        forced[:] = [MASKS[m]]
        everywhere = torch.ones_like(forced[0])
        out = []
        for state in STATES:
            given = {"schedule": ratio, "time": time[q], **options}
            loss = estimator(net, state.expand(len(q), -1), everywhere, 0, **given)
            out.append((loss.per_example * probability[q, m]).sum())
        return torch.stack(out)

    return of


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_expectation_is_the_likelihood(name, schedule, expectation):
    value = expectation(*ESTIMATORS[name], SCHEDULES[schedule])
    assert float((value - TRUTH).abs().max()) < 1e-10


def unweighted(net, tokens, maskable, seed, **options):
    """Pooled: every hidden position alike, as a mean over the batch has it."""
    batch = nelbo.corrupt_by_count(net, tokens, maskable, seed, **options)
    flat = objectives.Corrupted(
        batch.tokens, batch.shown, batch.masked, batch.weight * 0 + 1, maskable, batch.seed
    )
    return objectives.evaluate(flat, exact_read(net, flat), bound=False)


def test_wrong_weights_fail_the_same_test(expectation, monkeypatch):
    """Negative controls: a pooled mean, the other sign, and a count's weight for inclusion."""
    pooled = expectation(unweighted, law_of_counts, schedules.linear)
    pooled = pooled * TRUTH.sum() / pooled.sum()  # no factor makes it right
    assert float((pooled - TRUTH).abs().max()) > 0.1
    right = inclusion.by_time
    monkeypatch.setattr(inclusion, "by_time", lambda *row: -right(*row))
    assert (expectation(*ESTIMATORS["bernoulli"], schedules.cosine) < 0).all()
    monkeypatch.setattr(inclusion, "binomial", nelbo.rounded_up)
    value = expectation(*ESTIMATORS["bernoulli_by_count"], schedules.cosine)
    assert float((value - TRUTH).abs().max()) > 0.1


@pytest.mark.parametrize("schedule", ["linear", "cosine", "power(3)"])
def test_epsilon_takes_away_no_more_than_it_says(schedule, expectation):
    """Too small by at most γ(1−ε)·n times the largest −log p, and not by nothing."""
    ratio, epsilon = SCHEDULES[schedule], 0.05

    def law(_, time):
        return law_of_inclusion(ratio, time * (1 - epsilon))

    value = expectation(objectives.bernoulli, law, ratio, epsilon=epsilon)
    left = float(ratio(torch.tensor(1 - epsilon).double())) * LENGTH * COSTS.amax((1, 2))
    assert (value < TRUTH - 1e-6).all()
    assert (value > TRUTH - left).all()


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("schedule", ["linear", "cosine", "power(3)"])
def test_samples_have_that_mean(name, schedule):
    """z < 5 over 20 batches of 1,000 rows; 1/t has no variance, and is held to its batches' own.

    A fixed seed each; with the variance of a normal law one run in 2e5 would fail.
    """

    def truth(tokens: Tensor) -> Tensor:
        """Logits (B,N,4) whose entry at the data's id is right, from the mask alone."""
        state, mask = (data * TERNARY).sum(1), ((tokens == MASK) * BINARY).sum(1)
        right = -COSTS[state.repeat(len(tokens) // len(state)), mask]  # (B,N)
        other = (1 - right.exp()).clamp(min=1e-30).log() - math.log(2)
        ids = data.repeat(len(tokens) // len(data), 1)[..., None]
        return other[..., None].repeat(1, 1, VOCAB + 1).scatter(2, ids, right[..., None]).float()

    net = unmask.wrap(truth, mask_id=MASK, vocab_size=VOCAB + 1)
    estimator, ratio = ESTIMATORS[name][0], SCHEDULES[schedule]
    for row in (7, 44):
        data = STATES[row].repeat(1000, 1)
        free = torch.ones_like(data, dtype=torch.bool)
        means = torch.stack(
            [estimator(net, data, free, s, schedule=ratio).per_example.mean() for s in range(20)]
        )
        error = float(means.std() / math.sqrt(len(means)))
        assert abs(float(means.mean() - TRUTH[row])) < 5 * error + 1e-5
        assert abs(float(means.mean() - TRUTH[row - 5])) > 5 * error + 1e-5
