"""The counter-based generator: layout, uniformity, independence, purity.

Every statistical test has false-fail rate ALPHA, corrected for how often it is asked, on fixed
inputs; a generator that is bad on purpose fails the same helpers.
"""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, kstest
from tests.reference.philox import WORD, naive_philox, naive_uniforms

from unmask.core.philox import by_numpy
from unmask.core.random import (
    SEED_LIMIT,
    Purpose,
    check_seed,
    derive,
    fresh_seed,
    gumbel,
    uniform,
    uniforms,
)
from unmask.errors import SeedError

ALPHA = 1e-4
seeds = st.integers(0, SEED_LIMIT - 1)
words = st.integers(0, WORD)


# --- helpers: each returns a p-value ---------------------------------------------------------


def uniform_p(u, bins=256):
    """Smaller of a chi-square over equal bins and a Kolmogorov-Smirnov test, doubled."""
    u = np.asarray(u).ravel()
    seen = np.bincount((u * bins).astype(int), minlength=bins)
    expected = len(u) / bins
    cells = chi2.sf(((seen - expected) ** 2).sum() / expected, bins - 1)
    return min(1.0, 2 * min(cells, kstest(u, "uniform").pvalue))


def independence_p(a, b, bins=16):
    """Chi-square of the pairs over a grid of equal cells."""
    a, b = np.asarray(a).ravel(), np.asarray(b).ravel()
    cell = (a * bins).astype(int) * bins + (b * bins).astype(int)
    seen, expected = np.bincount(cell, minlength=bins**2), len(a) / bins**2
    return chi2.sf(((seen - expected) ** 2).sum() / expected, bins**2 - 1)


def grid(generator=uniform, seeds=64, steps=16, positions=64, first_seed=0, purpose=Purpose.DRAW):
    """(seeds, steps, positions, 2) from neighbouring counters."""
    return generator(
        (first_seed + torch.arange(seeds))[:, None, None],
        torch.arange(steps)[:, None],
        torch.arange(positions),
        purpose,
    )


def neighbours(u):
    """Pairs that must be independent: along rows, steps, positions, and the two of a pair."""
    return {
        "rows": (u[1:], u[:-1]),
        "steps": (u[:, 1:], u[:, :-1]),
        "positions": (u[:, :, 1:], u[:, :, :-1]),
        "pair": (u[..., 0], u[..., 1]),
        # Where seed + step, or step + position, were mixed by adding, these would be the same.
        "row against step": (u[1:, :-1], u[:-1, 1:]),
        "step against position": (u[:, 1:, :-1], u[:, :-1, 1:]),
        "row against position": (u[1:, :, :-1], u[:-1, :, 1:]),
    }


def worst_p(u):
    """Smallest p-value over everything that is asked of a grid, corrected for the asking."""
    found = {"uniform": uniform_p(u)} | {
        name: independence_p(a, b) for name, (a, b) in neighbours(u).items()
    }
    return min(found.values()) * len(found)


# --- the layout that makes results last: (seed, step, position, purpose) -> bits --------------


@given(seeds, words, words, st.sampled_from(Purpose))
def test_uniform_is_48_bits_of_philox(seed, step, position, purpose):
    got = uniform(torch.tensor(seed), step, position, purpose)
    assert got.dtype == torch.float64
    assert got.tolist() == naive_uniforms((position, step, int(purpose), 0), seed)


@given(seeds, st.integers(1, 9))
def test_derive_is_63_bits_of_philox(seed, count):
    naive = []
    for i in range(count):
        a, b, _, _ = naive_philox((i, 0, int(Purpose.SEED), 1), (seed & WORD, seed >> 32))
        naive.append(a << 31 | b >> 1)
    assert derive(seed, count).tolist() == naive


def test_resolution_is_48_bits_and_each_of_them_is_used():
    number = grid().double() * 2**48 - 0.5
    assert bool((number == number.floor()).all())
    for bit in range(48):
        share = float(((number.long() >> bit) & 1).double().mean())
        assert abs(share - 0.5) < 4.6 * 0.5 / number.numel() ** 0.5, f"bit {bit}"


def test_several_purposes_at_once_are_each_of_them():
    seed, step, place = derive(3, 5)[:, None], torch.arange(5)[:, None], torch.arange(7)
    purposes = (Purpose.CHOICE, Purpose.DRAW, Purpose.NOISE_IDS)
    got = uniforms(seed, step, place, purposes)
    assert got.shape == (3, 5, 7, 2)
    for i, purpose in enumerate(purposes):
        assert torch.equal(got[i], uniform(seed, step, place, purpose))
    assert uniforms(seed[0, 0], 0, 0, purposes[:1]).shape == (1, 2)


@given(seeds, words, words)
def test_a_lane_has_uniforms_of_its_own_which_the_definition_gives(seed, position, lane):
    got = uniform(torch.tensor(seed), 3, position, Purpose.NOISE, torch.tensor([lane]))
    assert got.tolist() == [naive_uniforms((position, 3, int(Purpose.NOISE), lane), seed)]


def test_purposes_have_numbers_of_their_own():
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)


# --- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first_seed", [0, 2**31 - 32, 2**32 - 32, SEED_LIMIT - 64], ids=["0", "2^31", "2^32", "2^63"]
)
def test_uniform_and_independent_along_every_axis(first_seed):
    u = grid(first_seed=first_seed)
    assert bool(((u > 0) & (u < 1)).all())
    assert worst_p(u) > ALPHA


@pytest.mark.parametrize("shift", [32, 48, 62])
def test_seeds_that_differ_in_high_bits_are_independent(shift):
    low = torch.arange(64)
    u = [
        uniform(s[:, None], 0, torch.arange(1024), Purpose.DRAW) for s in (low, low + (1 << shift))
    ]
    assert independence_p(*u) > ALPHA


def test_high_bits_of_step_and_position_matter():
    place = torch.arange(2**14)
    base = uniform(torch.tensor(5), 0, place, Purpose.DRAW)
    for other in (
        uniform(torch.tensor(5), 2**31, place, Purpose.DRAW),
        uniform(torch.tensor(5), 0, place + 2**31, Purpose.DRAW),
    ):
        assert independence_p(base, other) > ALPHA


def test_purposes_are_independent():
    u = {purpose: grid(seeds=32, steps=8, purpose=purpose) for purpose in Purpose}
    pairs = list(itertools.combinations(Purpose, 2))
    worst = min(independence_p(u[a], u[b]) for a, b in pairs)
    assert worst * len(pairs) > ALPHA


def test_many_positions_steps_and_seeds_one_at_a_time():
    """Long runs along one axis, 2**17 values each, and their correlation with the counter."""
    run = torch.arange(2**16)
    for name, u in {
        "positions": uniform(torch.tensor(0), 0, run, Purpose.DRAW),
        "steps": uniform(torch.tensor(0), run, 0, Purpose.DRAW),
        "seeds": uniform(run, 0, 0, Purpose.DRAW),
        "derived seeds": uniform(derive(0, 2**16), 0, 0, Purpose.DRAW),
    }.items():
        assert uniform_p(u) * 8 > ALPHA, name
        drift = np.corrcoef(run, u[:, 0])[0, 1] * len(run) ** 0.5
        assert abs(drift) < 4.4, name  # two-sided normal, 1e-5


def test_distinct_counters_do_not_collide():
    """2**18 values of 48 bits collide at all once in 8,000 tries."""
    values = grid(seeds=32, steps=64).flatten()
    assert len(values.unique()) == len(values)


def test_derived_seeds_are_uniform_and_distinct():
    many = derive(123, 2**16)
    assert len(many.unique()) == len(many)
    assert bool((many >= 0).all())  # and int64 ends at the limit
    assert uniform_p(many.double() / SEED_LIMIT) > ALPHA
    roots = torch.stack([derive(seed, 256) for seed in range(256)]).double() / SEED_LIMIT
    assert independence_p(roots[1:], roots[:-1]) > ALPHA
    assert independence_p(roots[:, 1:], roots[:, :-1]) > ALPHA


def test_gumbel_is_standard():
    u = grid()
    assert kstest(gumbel(u).flatten().numpy(), "gumbel_r").pvalue > ALPHA
    assert gumbel(u).dtype == torch.float64


# Negative controls: generators that are bad on purpose.


def added(seed, step, position, purpose):
    """Counters mixed by adding: row 3 at step 4 repeats row 4 at step 3."""
    return uniform(torch.zeros((), dtype=torch.int64), 0, seed + step + position, purpose)


def one_for_two(seed, step, position, purpose):
    """The second uniform of a pair is the first again."""
    u = uniform(seed, step, position, purpose)
    return u[..., :1].expand(u.shape)


def shared_by_rows(seed, step, position, purpose):
    """One stream for the whole batch."""
    return uniform(seed * 0, step, position, purpose)


def golden(seed, step, position, purpose):
    """Evenly spread, far too evenly."""
    place = (seed * 1024 + step * 64 + position).double()
    return torch.stack([place * 0.6180339887 % 1, place * 0.4142135624 % 1], -1)


def skewed(seed, step, position, purpose):
    """A few hundredths too many small values."""
    return uniform(seed, step, position, purpose) ** 1.05


def two_rounds(seed, step, position, purpose):
    """Philox cut short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_numpy, "_STEPS", by_numpy._STEPS[:2])
        return uniform(seed, step, position, purpose)


@pytest.mark.parametrize(
    "bad",
    [added, one_for_two, shared_by_rows, golden, skewed, two_rounds],
    ids=lambda f: f.__name__,
)
def test_bad_generators_fail_the_same_helpers(bad):
    assert worst_p(grid(bad)) < 1e-12


def test_colliding_generator_fails_the_same_count():
    values = grid(added).flatten()
    assert len(values.unique()) < len(values)


# --- pure function ---------------------------------------------------------------------------


@given(
    rows=st.lists(seeds, min_size=1, max_size=6),
    length=st.integers(1, 9),
    step=st.integers(0, 50),
    data=st.data(),
)
def test_uniforms_of_a_row_do_not_depend_on_the_batch(rows, length, step, data):
    seed = torch.tensor(rows)
    batch = uniform(seed[:, None], step, torch.arange(length), Purpose.ORDER)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    shuffled = uniform(seed[order][:, None], step, torch.arange(length), Purpose.ORDER)
    assert torch.equal(shuffled, batch[order])
    row, place = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, length - 1))
    alone = uniform(seed[row], torch.tensor(step), torch.tensor(place), Purpose.ORDER)
    assert torch.equal(alone, batch[row, place])
    longer = uniform(seed[:, None], step, torch.arange(length + 3), Purpose.ORDER)
    assert torch.equal(longer[:, :length], batch)


def test_nothing_global_is_read_or_advanced():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = grid(seeds=2, steps=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(grid(seeds=2, steps=2), first)


@given(seeds, st.integers(0, 20), st.integers(0, 20))
def test_a_larger_batch_extends_a_smaller_one(seed, few, more):
    assert derive(seed, few + more)[:few].tolist() == derive(seed, few).tolist()


# --- seeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**32, SEED_LIMIT - 1])
def test_every_seed_in_range_is_accepted(seed):
    assert check_seed(seed) == seed
    derived = derive(seed, 4)
    assert all(check_seed(row) == row for row in derived.tolist())
    assert uniform(torch.tensor(seed), 0, torch.arange(4), Purpose.DRAW).unique().numel() == 8


def test_seeds_next_to_the_limit_differ():
    last = torch.tensor([SEED_LIMIT - 1, SEED_LIMIT - 2, SEED_LIMIT // 2, 2**32 - 1])
    assert uniform(last, 0, 0, Purpose.DRAW)[:, 0].unique().numel() == 4


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, 2**64, 1.0, "3", None, True, torch.tensor(3)])
def test_other_seeds_are_refused(seed):
    with pytest.raises(SeedError, match=r"pass an integer from 0 to 2\*\*63 - 1"):
        check_seed(seed)
    with pytest.raises(SeedError):
        derive(seed, 2)


def test_fresh_seed_follows_torch_manual_seed():
    torch.manual_seed(4)
    first = [fresh_seed() for _ in range(50)]
    torch.manual_seed(4)
    assert [fresh_seed() for _ in range(50)] == first
    assert len(set(first)) == 50
    assert all(check_seed(seed) == seed for seed in first)
    assert max(first) > 2**60, "the whole range is used"
