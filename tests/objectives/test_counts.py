"""How many positions are hidden, which, and what that number's probability is."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad
from tests.reference.oracles import chi_square
from torch import Tensor

import unmask
from unmask import objectives, schedules
from unmask.core.random import derive
from unmask.errors import DataError, SeedError, StrategyError
from unmask.objectives.corruption import hide_each, independent_times, offset_times, slot_times
from unmask.objectives.counts import binomial, rounded_up

SIZE, ROWS, MASK = 6, 40_000, 3
ALPHA = 1e-5  # of each chi-square; the seeds are fixed


def net() -> unmask.Denoiser:
    return unmask.wrap(lambda t: torch.zeros(*t.shape, 4), mask_id=MASK, vocab_size=4)


def corrupted(kind: str, schedule=schedules.linear) -> Tensor:
    """(ROWS,8) bool: what each row hides; positions 0 and 7 are prompt and padding."""
    tokens = torch.zeros(ROWS, SIZE + 2, dtype=torch.int64)
    free = torch.ones_like(tokens, dtype=torch.bool)
    free[:, 0] = free[:, -1] = False
    seeds = derive(11, ROWS)
    given = {"schedule": schedule, "time": independent_times(seeds)}
    if kind == "count":
        batch = objectives.corrupt_by_count(net(), tokens, free, seeds, **given)
    else:
        from unmask.objectives.inclusion import by_count, corrupt_bernoulli

        batch = corrupt_bernoulli(net(), tokens, free, seeds, weight=by_count, **given)
    assert not (batch.masked & ~free).any()
    assert ((batch.shown == MASK) == batch.masked).all()
    return batch.masked[:, 1:-1]


def pairs(masked: Tensor) -> Tensor:
    """(15,) how often each pair of positions is hidden together."""
    i, j = torch.triu_indices(SIZE, SIZE, 1)
    return (masked[:, i] & masked[:, j]).sum(0)


def exactly(masked: Tensor, k: int) -> Tensor:
    return masked[masked.sum(1) == k]


@pytest.mark.parametrize("schedule", [schedules.linear, schedules.cosine, schedules.power(3)])
def test_counts_have_the_law_that_the_weights_take_out(schedule):
    k = torch.arange(SIZE + 1)
    size = torch.full_like(k, SIZE)
    seen = corrupted("count", schedule).sum(1).bincount(minlength=SIZE + 1)
    assert chi_square(seen, rounded_up(schedule, k, size)) > ALPHA
    seen = corrupted("inclusion", schedule).sum(1).bincount(minlength=SIZE + 1)
    law = binomial(schedule, k, size)
    law[0] = 1 - law.sum()
    assert chi_square(seen, law) > ALPHA
    # Negative control: the one kind's counts under the other's law.
    assert chi_square(corrupted("count", schedule).sum(1).bincount(minlength=7), law) < ALPHA


@pytest.mark.parametrize("kind", ["count", "inclusion"])
def test_positions_and_pairs_are_uniform_given_their_number(kind):
    masked = corrupted(kind)
    for k in range(2, SIZE):
        some = exactly(masked, k)
        # Positions of a row exclude each other: the statistic is smaller than chi-square, so that
        # false alarms are rarer than ALPHA.
        assert chi_square(some.sum(0), torch.ones(SIZE)) > ALPHA
        assert chi_square(pairs(some), torch.ones(15)) > ALPHA
    sets = (exactly(masked, 3) * 2 ** torch.arange(SIZE)).sum(1)
    seen = sets.bincount(minlength=64)
    law = torch.tensor([float(bin(s).count("1") == 3) for s in range(64)])
    assert chi_square(seen, law) > ALPHA
    # Negative controls: one position less often, and neighbours preferred.
    skewed = masked & ~(
        (torch.arange(SIZE) == 2) & (independent_times(derive(3, ROWS))[:, None] < 0.1)
    )
    assert chi_square(exactly(skewed, 3).sum(0), torch.ones(SIZE)) < ALPHA
    runs = torch.stack([masked[:, 0].roll(i) for i in range(SIZE)], 1)
    assert chi_square(pairs(exactly(runs & runs.roll(1, 1), 2)), torch.ones(15)) < ALPHA


def test_each_position_has_its_rows_probability():
    share = torch.tensor([0.0, 0.25, 1.0]).repeat_interleave(20_000).double()
    masked = hide_each(torch.ones(60_000, 4, dtype=torch.bool), share, derive(5, 60_000))
    none, some, every = masked.view(3, 20_000, 4).double().mean(1)
    assert (none == 0).all()
    assert (every == 1).all()
    assert torch.allclose(some, torch.tensor(0.25).double(), atol=5 * math.sqrt(0.1875 / 20_000))


def test_the_law_of_inclusion_for_linear_is_even():
    for n in (1, 2, 7, 64, 1000, 4000):
        k = torch.tensor([1, 2, n // 2, n - 1, n]).clamp(1, n)
        law = binomial(schedules.linear, k, torch.full_like(k, n))
        assert torch.allclose(law, torch.full_like(law, 1 / (n + 1)), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["cosine", "cosine_mdlm", "arccos", "power(0.3)", "power(3)"])
@pytest.mark.parametrize("n", [3, 40, 3000])
def test_the_law_of_inclusion_against_adaptive_quadrature(name, n):
    """P(K = k) = ∫ C(n,k) γ^k (1−γ)^(n−k) du by scipy, split where the integrand peaks."""
    schedule = schedules.resolve(name)

    def naive(k: int) -> float:
        log_sets = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

        def chance(u: float) -> float:
            m = float(schedule(torch.tensor(u, dtype=torch.float64)))
            if not 0 < m < 1:
                return float(m == 1 and k == n)
            return math.exp(log_sets + k * math.log(m) + (n - k) * math.log1p(-m))

        widths = [
            k / n + d * math.sqrt(k * (n - k + 1)) / n**1.5 for d in (-8, -2, 0, 2, 8, 20, 40)
        ]
        m = torch.tensor([w for w in widths if 1e-9 < w < 1 - 1e-9]).double()
        edges = [0.0, *sorted(schedule.inverse(m).tolist()), 1.0]
        return sum(quad(chance, *ends, epsabs=1e-13, epsrel=1e-11)[0] for ends in pairwise(edges))

    for k in sorted({1, 2, n // 2, n}):
        law = binomial(schedule, torch.tensor([k]), torch.tensor([n]))
        assert float(law) == pytest.approx(naive(k), abs=1e-10)


def test_the_law_of_inclusion_of_flat_ends():
    """γ = min(1, 2 − 2u): half the time everything; otherwise every number is as likely."""
    flat = schedules.custom(lambda u: (2 - 2 * u).clamp(max=1))
    law = binomial(flat, torch.tensor([1, 2, 3]), torch.tensor([3, 3, 3]))
    expected = [
        float(Fraction(1, 8)),
        float(Fraction(1, 8)),
        float(Fraction(1, 8) + Fraction(1, 2)),
    ]
    assert law.tolist() == pytest.approx(expected, abs=1e-12)


def test_nothing_hidden_weighs_nothing():
    zero = torch.zeros(2, dtype=torch.int64)
    assert binomial(schedules.cosine, zero, zero + 4).tolist() == [0, 0]
    tokens = torch.zeros(3, 5, dtype=torch.int64)
    for objective in (objectives.bernoulli, objectives.bernoulli_by_count):
        free = torch.ones_like(tokens, dtype=torch.bool)
        free[1] = False
        late = torch.full((3,), 1 - 1e-9, dtype=torch.float64)  # so late that nothing is hidden
        loss = objective(net(), tokens, free, 0, time=late)
        assert loss.per_example.tolist() == [0, 0, 0]
        assert loss.counts.tolist() == [5, 0, 5]


def test_every_objective_counts_the_tokens_of_each_example():
    """So that losses can be normalised by the tokens of a batch that is elsewhere."""
    tokens = torch.zeros(40, 6, dtype=torch.int64)
    free = torch.arange(6) < (torch.arange(40) % 7)[:, None]
    objective = {n: getattr(objectives, n) for n in ("count", "complementary", "bernoulli")}
    objective["masked_mean"], objective["bert"] = objectives.masked_mean, objectives.bert
    for name, call in objective.items():
        loss = call(net(), tokens, free, 4)
        assert loss.counts.shape == (40,)
        assert int(loss.counts.sum()) == int(loss.tokens)
        assert float(loss.loss) == pytest.approx(
            float(loss.per_example.sum() / loss.counts.sum()), rel=1e-6
        )
        whole = (loss.counts == free.sum(1)).all()
        assert bool(whole) == (name not in ("masked_mean", "bert"))


def test_times_of_a_row_do_not_depend_on_where_it_runs():
    seeds, slot = derive(1, 12), torch.arange(12)
    for make in (
        lambda part: slot_times(seeds[part], slot[part], 12),
        lambda part: offset_times(9, slot[part], 12),
        lambda part: independent_times(seeds[part]),
    ):
        whole = make(slice(None))
        parts = torch.cat([make(slice(0, 5)), make(slice(5, 12))])
        assert torch.equal(whole, parts)
        assert ((whole >= 0) & (whole < 1)).all()


def test_strata_hold_one_row_each_and_an_offset_moves_all_alike():
    seeds, slot = derive(2, 500), torch.arange(500)
    strata = slot_times(seeds, slot, 500)
    assert torch.equal((strata * 500).long(), slot)
    within = strata * 500 - slot
    assert chi_square((within * 10).long().bincount(minlength=10), torch.ones(10)) > ALPHA
    shared = offset_times(7, slot, 500).sort().values
    assert torch.allclose(shared.diff(), torch.tensor(1 / 500).double())
    first = [float(offset_times(s, slot[:1], 500)) for s in range(300)]
    assert chi_square((torch.tensor(first) * 6).long().bincount(minlength=6), torch.ones(6)) > ALPHA
    alone = independent_times(seeds)
    assert chi_square((alone * 10).long().bincount(minlength=10), torch.ones(10)) > ALPHA
    assert int((alone * 500).long().unique().numel()) < 400  # strata are shared and left empty


def test_unusable_times_and_shares_are_named():
    seeds = derive(0, 3)
    with pytest.raises(DataError, match="pass integers from 0 to 2"):
        slot_times(seeds, torch.tensor([0, 1, 3]), 3)
    with pytest.raises(SeedError, match="seed=-1"):
        offset_times(-1, torch.arange(3), 3)
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    free = torch.ones_like(tokens, dtype=torch.bool)
    with pytest.raises(StrategyError, match=r"epsilon=1\.0"):
        objectives.bernoulli(net(), tokens, free, 0, epsilon=1.0)
    with pytest.raises(StrategyError, match=r"label_smoothing=-0\.1"):
        objectives.masked_mean(net(), tokens, free, 0, label_smoothing=-0.1)
