"""The bound's estimators against enumeration: on true conditionals it is −log p(x) itself."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import unmask
from unmask import objectives, schedules
from unmask.core.random import derive
from unmask.errors import DataError
from unmask.objectives.corruption import BertNoise, hide, stratified_times

VOCAB, LENGTH, MASK = 3, 4, 3
STATES = torch.tensor(list(itertools.product(range(VOCAB), repeat=LENGTH)))


def joint() -> Tensor:
    weights = torch.rand(len(STATES), generator=torch.Generator().manual_seed(3)).double()
    return weights / weights.sum()


def conditionals(tokens: Tensor) -> Tensor:
    """True log p(x_i given the visible), by summing the joint; the mask id impossible."""
    agrees = ((tokens[:, None] == MASK) | (tokens[:, None] == STATES)).all(2).double() * joint()
    onehot = torch.nn.functional.one_hot(STATES, VOCAB + 1).double()
    mass = torch.einsum("bs,snv->bnv", agrees, onehot)
    return mass.log().float()


@pytest.fixture
def denoiser() -> unmask.Denoiser:
    return unmask.wrap(conditionals, mask_id=MASK, vocab_size=VOCAB + 1)


def exact_bound(state: Tensor) -> float:
    """N·E_k[(1/k)Σ] by running over every subset: a naive sum over all 2^N − 1 of them."""
    total = 0.0
    for k in range(1, LENGTH + 1):
        subsets = list(itertools.combinations(range(LENGTH), k))
        for subset in subsets:
            shown = state.clone()
            shown[list(subset)] = MASK
            logp = conditionals(shown[None])[0, :, :VOCAB].double().log_softmax(-1)
            total -= sum(float(logp[i, state[i]]) for i in subset) / k / len(subsets)
    return total


def test_the_bound_of_true_conditionals_is_the_likelihood():
    for row in (0, 17, 80):
        assert exact_bound(STATES[row]) == pytest.approx(-math.log(float(joint()[row])), abs=1e-5)


def mean_and_error(denoiser: unmask.Denoiser, estimator, row: int, seeds: int = 8):
    """Mean over seeds of a batch's mean, with its standard error: strata are not independent."""
    tokens = STATES[row].repeat(2000, 1)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    means = torch.stack(
        [estimator(denoiser, tokens, everywhere, s).per_example.mean() for s in range(seeds)]
    )
    return float(means.mean()), float(means.std() / math.sqrt(seeds))


ESTIMATORS = {
    "count, linear": objectives.count,
    "complementary": objectives.complementary,
    **{
        f"count, {s.name}": lambda *a, s=s: objectives.count(*a, schedule=s)
        for s in (schedules.cosine, schedules.cosine_mdlm, schedules.power(3))
    },
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_unbiased(denoiser, name):
    """Five standard errors of eight batches of 2,000; fixed seeds."""
    for row in (5, 40):
        mean, error = mean_and_error(denoiser, ESTIMATORS[name], row)
        assert abs(mean - exact_bound(STATES[row])) < 5 * error + 1e-5


@pytest.mark.parametrize(
    "ratio", [lambda t: (1 - 2 * t).clamp(min=0), lambda t: (2 - 2 * t).clamp(max=1)]
)
def test_a_schedule_that_is_flat_at_an_end_is_unbiased_too(ratio):
    """Every id equally likely: the bound is exactly N·log 3 whatever is hidden."""
    flat = unmask.wrap(
        lambda tokens: torch.zeros(*tokens.shape, VOCAB + 1), mask_id=MASK, vocab_size=VOCAB + 1
    )
    tokens = STATES[:1].repeat(20_000, 1)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    loss = objectives.count(flat, tokens, everywhere, 0, schedule=schedules.custom(ratio))
    assert float(loss.per_example.mean()) == pytest.approx(LENGTH * math.log(VOCAB), rel=2e-3)


def test_a_wrong_weight_fails_the_same_test(denoiser):
    """Negative control: weighting every count alike is not the bound."""

    def unweighted(net, tokens, maskable, seed):
        batch = objectives.corrupt_by_count(net, tokens, maskable, seed)
        flat = objectives.Corrupted(
            batch.tokens,
            batch.shown,
            batch.masked,
            torch.ones(len(tokens)).double(),
            batch.maskable,
            batch.seed,
        )
        return objectives.evaluate(flat, objectives.read_corrupted(net, flat), bound=False)

    mean, error = mean_and_error(denoiser, unweighted, 5)
    assert abs(mean - exact_bound(STATES[5])) > 20 * error


def nearest_visible(tokens: Tensor) -> Tensor:
    """Logits that agree with the visible neighbours: the more is visible, the surer."""
    onehot = torch.nn.functional.one_hot(tokens, VOCAB + 1).float()
    onehot[..., MASK] = 0
    return 2 * (torch.roll(onehot, 1, 1) + torch.roll(onehot, -1, 1))


def test_the_complement_has_the_smaller_spread():
    """ALGORITHMS section 2, N = 64: a complementary pair .126, two independent counts .408."""
    net = unmask.wrap(nearest_visible, mask_id=MASK, vocab_size=VOCAB + 1)
    runs = torch.arange(64) // 8 % VOCAB
    tokens = runs.repeat(2000, 1)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    pair = objectives.complementary(net, tokens, everywhere, 0).per_example
    single = objectives.count(net, tokens, everywhere, 0).per_example
    assert float(pair.std()) < 0.75 * float(single.std()) / math.sqrt(2)


def test_loss_is_the_sum_over_the_tokens(denoiser):
    tokens = STATES[:10]
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    for estimator in (objectives.count, objectives.complementary):
        loss = estimator(denoiser, tokens, everywhere, 1)
        assert int(loss.tokens) == tokens.numel()
        assert float(loss.loss) == pytest.approx(float(loss.per_example.sum()) / 40, rel=1e-5)
        assert float(loss.nll) == pytest.approx(float(loss.per_example.sum()), rel=1e-6)


def test_prompts_are_never_hidden_and_never_in_the_loss(denoiser):
    tokens = STATES[:50]
    maskable = torch.zeros_like(tokens, dtype=torch.bool)
    maskable[:, 1:3] = True
    for seed in range(20):
        batch = objectives.corrupt_by_count(denoiser, tokens, maskable, seed)
        assert not (batch.masked & ~maskable).any()
        assert (batch.shown == tokens)[~maskable].all()
    assert int(objectives.count(denoiser, tokens, maskable, 0).tokens) == 100


def test_a_row_with_nothing_to_hide_costs_nothing(denoiser):
    tokens = STATES[:3]
    nowhere = torch.zeros_like(tokens, dtype=torch.bool)
    for estimator in (objectives.count, objectives.complementary, objectives.masked_mean):
        assert float(estimator(denoiser, tokens, nowhere, 0).loss) == 0.0


def test_hidden_counts_are_exact_and_positions_uniform():
    """Chi-square of inclusion over 30,000 rows at k = 2 of 5; alpha 1e-5, one fixed seed."""
    from scipy.stats import chisquare

    rows = 30_000
    masked = hide(torch.ones(rows, 5, dtype=torch.bool), torch.full((rows,), 2), derive(9, rows))
    assert (masked.sum(1) == 2).all()
    pairs = (masked.long() * 2 ** torch.arange(5)).sum(1).bincount(minlength=32)
    observed = pairs[pairs > 0].numpy()
    assert len(observed) == 10
    assert chisquare(observed).pvalue > 1e-5


def test_times_cover_every_stratum():
    times = stratified_times(derive(4, 64)).sort().values
    gaps = times[1:] - times[:-1]
    assert float(gaps.max()) < 2 / 64
    first = torch.stack([stratified_times(derive(s, 64))[0] for s in range(400)])
    assert float(first.mean()) == pytest.approx(0.5, abs=0.06)  # a row meets every stratum
    again = stratified_times(derive(4, 64), strata=8)
    assert torch.equal((again * 8).long(), torch.arange(64) % 8)


def test_bert_noise_shows_some_as_they_are_and_never_an_illegal_id():
    tokens = torch.zeros(4000, 20, dtype=torch.int64)
    masked = torch.ones_like(tokens, dtype=torch.bool)
    legal = torch.tensor([0, 1, 2])
    shown = BertNoise(keep=0.5, replace=0.5)(
        tokens, torch.full_like(tokens, 3), masked, derive(0, 4000), legal
    )
    assert set(shown.unique().tolist()) == {0, 1, 2, 3}
    # keep: coin 1/2 × 1/2, plus replaced by 0: (1/2 × 1/2) × (1 − 1/4) × 1/3
    assert float((shown == 0).double().mean()) == pytest.approx(0.25 + 0.1875 / 3, abs=0.01)
    # The coins are a row's own: rows without either kind are a quarter.
    untouched = (shown == 3).all(1).double().mean()
    assert float(untouched) == pytest.approx(0.25, abs=0.03)


def test_noise_makes_the_value_no_likelihood(denoiser):
    tokens = STATES[:8]
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    assert objectives.bert(denoiser, tokens, everywhere, 0).nll is None
    assert objectives.masked_mean(denoiser, tokens, everywhere, 0).nll is None
    assert objectives.bernoulli(denoiser, tokens, everywhere, 0, epsilon=1e-3).nll is None
    assert objectives.count(denoiser, tokens, everywhere, 0).nll is not None


def test_masked_mean_is_the_mean_over_hidden_positions(denoiser):
    tokens = STATES[20:40]
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    batch = objectives.corrupt_by_count(denoiser, tokens, everywhere, 7, schedule=schedules.cosine)
    logp = conditionals(batch.shown)[..., :VOCAB].log_softmax(-1)
    naive = -logp.gather(2, tokens[..., None])[..., 0][batch.masked].mean()
    loss = objectives.masked_mean(denoiser, tokens, everywhere, 7, schedule=schedules.cosine)
    assert loss.loss.item() == pytest.approx(naive.item(), rel=1e-5)


def test_unusable_data_is_named():
    net = unmask.wrap(conditionals, mask_id=MASK, vocab_size=VOCAB + 1)
    tokens = STATES[:2].clone()
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    with pytest.raises(DataError, match="bool tensor of shape"):
        objectives.count(net, tokens, everywhere.long(), 0)
    tokens[1, 2] = MASK
    with pytest.raises(DataError, match="id 3 at row 1, position 2 is the mask id"):
        objectives.count(net, tokens, everywhere, 0)
    tokens[1, 2] = 9
    with pytest.raises(DataError, match="id 9 at row 1, position 2"):
        objectives.count(net, tokens, everywhere, 0)
    with pytest.raises(DataError, match="pass one integer"):
        objectives.count(net, STATES[:2], everywhere, torch.tensor([1, 2, 3]))
