"""The two-level draw against float64, and the shaping of logits against naive references.

Shapes: M rows, V vocabulary.

Three ways of asking whether a token has the probability it should:
* the draw as a black box: where its answer changes as a uniform moves, found by bisection, gives
  the exact probability of each token, rare ones included;
* the two-level law worked out in float64, at many uniforms;
* chi-square on many draws, with false-fail rate ALPHA on fixed seeds, and samplers that are wrong
  on purpose failing the same helper.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.oracles import chi_square

import unmask
from unmask import presets, sampling
from unmask.core.random import Purpose, uniform
from unmask.errors import StrategyError
from unmask.sampling import (
    Annealed,
    Sampling,
    Temperatures,
    draw_with_statistics,
    filters,
    invert,
)

ALPHA = 1e-4
LOW, HIGH = 2.0**-49, 1 - 2.0**-49  # the ends of what `uniform` returns
INF = float("inf")
SIZES = [2, 3, 17, 256, 5000, 200_000]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def spiky(vocab, dtype, seed=0):
    """(V,) float32 logits, rounded to dtype: wide, with tokens near probability 1e-9.

    And one token without mass where there is room. Returns logits and the rare ids.
    """
    logits = np.random.default_rng(seed).normal(0, 2, vocab)
    rare = sorted({0, vocab // 3, vocab // 2, vocab - 1} if vocab > 3 else {vocab - 1})
    logits[rare] = -INF
    logits[rare] = math.log(1e-9) + np.logaddexp.reduce(logits)
    if vocab > 3:
        logits[vocab // 4] = -INF
    return torch.from_numpy(logits).to(dtype).float(), rare


def pair(*u):
    """Float64, without passing through float32, where HIGH would be 1."""
    return torch.tensor(u, dtype=torch.float64)


def softmax64(logits):
    return logits.double().softmax(-1)


def call(logits, u0, u1):
    """invert for one row of logits (V,) at many pairs of uniforms (M,), float64."""
    u = torch.stack(torch.broadcast_tensors(u0, u1), -1)
    assert u.dtype == torch.float64
    return invert(logits.expand(len(u), -1), u)[0]


# --- the draw as a black box -----------------------------------------------------------------


def first_where(reached, count):
    """(count,) float64: the smallest u at which the monotone `reached` (M,) -> bool turns true."""
    low, high = torch.zeros(count).double(), torch.ones(count).double()
    for _ in range(54):
        middle = (low + high) / 2
        yes = reached(middle.clamp(LOW, HIGH))
        low, high = low.where(yes, middle), middle.where(yes, high)
    return high


def implied_probability(logits, ids):
    """(M,) float64: the area of the uniforms, (u0, u1), for which each of the ids is drawn.

    A block is a run of ids: with u1 at its lowest the draw gives the first of a block that has
    mass, with u1 at its highest the last. A token has the width of its block in u0 times its own
    width in u1.
    """
    lowest, highest = pair(LOW, HIGH)
    twice = torch.cat([ids, ids])
    ends = torch.cat([highest.expand(len(ids)), lowest.expand(len(ids))])
    beyond = torch.cat([ids, ids + 1])

    # Where a block holding the id, or a later one, begins; and where one begins that is all later.
    edges = first_where(lambda u: call(logits, u, ends) >= beyond, len(twice))
    begin, end = edges.chunk(2)
    inside = (begin + end) / 2
    cuts = first_where(lambda u: call(logits, inside.repeat(2), u) >= beyond, len(twice))
    below, above = cuts.chunk(2)
    return (end - begin) * (above - below)


@by_dtype
@pytest.mark.parametrize("vocab", SIZES)
def test_each_token_has_its_probability(vocab, dtype):
    logits, rare = spiky(vocab, dtype)
    truth = softmax64(logits)
    some = np.random.default_rng(1).choice(vocab, min(vocab, 40), False).tolist()
    if vocab > 10_000:
        rare, some = rare[1:3], []
    ids = torch.tensor(sorted({*rare, *some, int(truth.argmax())}))
    ids = ids[truth[ids] > 0]
    assert float(truth[rare].max()) < 2e-9
    torch.testing.assert_close(implied_probability(logits, ids), truth[ids], rtol=1e-5, atol=0)


@pytest.mark.parametrize("vocab", [1, 2, 5, 9, 10, 50])
def test_probabilities_of_a_small_vocabulary_add_up(vocab):
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(vocab))
    implied = implied_probability(logits, torch.arange(vocab))
    assert float(implied.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(implied, softmax64(logits), rtol=1e-5, atol=0)


def test_black_box_notices_a_wrong_temperature_and_lost_mass():
    logits, rare = spiky(256, torch.float32)
    warm = implied_probability(logits / 1.001, torch.tensor([rare[1]]))
    lost = implied_probability(
        logits.masked_fill(softmax64(logits) < 1e-8, -INF), torch.tensor(rare)
    )
    truth = softmax64(logits)[rare]
    assert not torch.allclose(warm, truth[1:2], rtol=1e-5, atol=0)
    assert bool((lost == 0).all())


# --- against the two-level law in float64 ----------------------------------------------------


class TwoLevels:
    """The law in float64: blocks of ⌊√V⌋ ids by mass, then ids by mass within the block."""

    def __init__(self, logits):
        p = softmax64(logits).numpy()
        self.width = math.isqrt(len(p))
        padded = np.pad(p, (0, -len(p) % self.width)).reshape(-1, self.width)
        self.blocks = np.concatenate([[0], np.cumsum(padded.sum(1))])
        with np.errstate(invalid="ignore"):
            share = padded / padded.sum(1, keepdims=True)
        self.inside = np.pad(np.cumsum(share, 1), ((0, 0), (1, 0)))

    def intervals(self, token):
        """((low, high) of u0, (low, high) of u1) for which the token is drawn; token (M,)."""
        block, place = token // self.width, token % self.width
        return (
            (self.blocks[block], self.blocks[block + 1]),
            (self.inside[block, place], self.inside[block, place + 1]),
        )


@by_dtype
@pytest.mark.parametrize("vocab", SIZES)
def test_draw_agrees_with_the_law_in_float64(vocab, dtype):
    logits, _ = spiky(vocab, dtype, seed=3)
    many = 4000 if vocab < 10_000 else 24
    u = uniform(torch.tensor(7), 0, torch.arange(many), Purpose.DRAW)
    grid = pair(LOW, 1e-9, 0.25, 0.5, 0.75, 1 - 1e-9, HIGH)
    u = torch.cat([u, torch.cartesian_prod(grid, grid)])
    token = call(logits, u[:, 0], u[:, 1]).numpy()
    for coordinate, (low, high) in zip(
        u.T.numpy(), TwoLevels(logits).intervals(token), strict=True
    ):
        # Float32 masses may move an edge by their rounding, and by no more.
        assert (coordinate >= low - 2e-6).all()
        assert (coordinate <= high + 2e-6).all()
    assert (softmax64(logits)[token] > 0).all()


@by_dtype
@pytest.mark.parametrize("vocab", SIZES)
def test_rare_tokens_are_drawn_by_the_uniforms_that_belong_to_them(vocab, dtype):
    logits, rare = spiky(vocab, dtype)
    # The law of the float32 masses, so that edges match to far below 1e-9.
    mass = (logits - logits.max()).exp().double().log()
    (a, b), (c, d) = TwoLevels(mass).intervals(np.array(rare))
    assert ((b - a) * (d - c) < 2e-9).all()
    # In a vocabulary of two or three a block is one id, as narrow as 1e-9 and still whole.
    for share in (0.1, 0.5, 0.9):
        u0, u1 = torch.from_numpy(a + share * (b - a)), torch.from_numpy(c + share * (d - c))
        assert call(logits, u0, u1).tolist() == rare


def naive_invert(p, u0, u1):
    """Ten lines of plain Python: walk the blocks, then walk the block."""
    width = max(1, math.isqrt(len(p)))
    blocks = [p[i : i + width] for i in range(0, len(p), width)]
    left = u0 * sum(map(sum, blocks))
    b = 0
    while left >= sum(blocks[b]):
        left -= sum(blocks[b])
        b += 1
    left, i = u1 * sum(blocks[b]), 0
    while left >= blocks[b][i]:
        left -= blocks[b][i]
        i += 1
    return b * width + i


@given(
    masses=st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any),
    u0=st.integers(0, 2**20 - 1),
    u1=st.integers(0, 2**20 - 1),
)
def test_draw_is_the_naive_walk(masses, u0, u1):
    """Masses are small integers, so both are exact but for exp(log(k))."""
    u = [(v + 0.5) / 2**20 for v in (u0, u1)]
    logits = torch.tensor(masses, dtype=torch.float32).log()
    token, normaliser = invert(logits[None], pair(u))
    nudged = {
        naive_invert(masses, u[0] + a, u[1] + b) for a in (-4e-7, 4e-7) for b in (-4e-7, 4e-7)
    }
    assert int(token) in nudged
    assert float(normaliser) == pytest.approx(math.log(sum(masses)), abs=1e-6)


# --- ids without mass ------------------------------------------------------------------------


@given(
    legal=st.lists(st.booleans(), min_size=1, max_size=40).filter(any),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 99),
    u=st.tuples(*[st.sampled_from([LOW, 1e-6, 0.5, 1 - 1e-6, HIGH])] * 2),
)
def test_ids_at_minus_infinity_are_never_drawn(legal, scale, seed, u):
    logits = scale * torch.randn(len(legal), generator=torch.Generator().manual_seed(seed))
    logits[~torch.tensor(legal)] = -INF
    token = int(invert(logits[None], pair(u))[0])
    assert legal[token]


@pytest.mark.parametrize("vocab", SIZES)
def test_the_only_legal_id_is_drawn_by_every_uniform(vocab):
    for only in {0, vocab // 2, vocab - 1}:
        logits = torch.full((1, vocab), -INF)
        logits[0, only] = -3.0
        for u0 in (LOW, 0.5, HIGH):
            for u1 in (LOW, 0.5, HIGH):
                token, normaliser = invert(logits.clone(), pair((u0, u1)))
                assert int(token) == only
                assert float(normaliser) == pytest.approx(-3.0)


@pytest.mark.parametrize("vocab", SIZES)
def test_extreme_uniforms_give_the_first_and_the_last_legal_id(vocab):
    logits = torch.zeros(2, vocab)
    if vocab > 3:
        logits[:, 0] = logits[:, -1] = -INF
    ends = invert(logits, pair((LOW, LOW), (HIGH, HIGH)))[0]
    legal = (logits[0] == 0).nonzero()
    assert ends.tolist() == [int(legal[0]), int(legal[-1])]


@pytest.mark.parametrize("size", [3e4, -3e4, 1e30])
def test_large_logits_do_not_overflow(size):
    logits = torch.tensor([[size, size, -size, -INF]])
    u = pair((0.1, 0.5))
    token, normaliser = invert(logits, u)
    assert int(token) in ({0, 1} if size > 0 else {2})
    assert math.isfinite(float(normaliser))


@given(st.integers(1, 300), st.integers(0, 99))
def test_normaliser_is_logsumexp(vocab, seed):
    logits = 5 * torch.randn(3, vocab, generator=torch.Generator().manual_seed(seed))
    u = torch.rand(3, 2, dtype=torch.float64).clamp(LOW, HIGH)
    found = invert(logits.clone(), u)[1]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.double().logsumexp(1).float(), rtol=1e-6, atol=1e-6)


def test_input_is_not_written_to():
    logits = torch.randn(5, 30)
    before = logits.clone()
    u = torch.rand(5, 2, dtype=torch.float64)
    invert(logits, u)
    sampling.draw(logits, torch.tensor([0.0, 0.5, 1.0, 2.0, 0.0]), u)
    dropping(Sampling(0.5, top_k=3, top_p=0.9, min_p=0.1), logits)
    assert torch.equal(logits, before)


@given(st.integers(2, 40), st.data())
def test_a_row_is_drawn_as_it_is_alone(rows, data):
    logits = torch.randn(rows, 77, generator=torch.Generator().manual_seed(rows))
    u = uniform(torch.tensor(1), 0, torch.arange(rows), Purpose.DRAW)
    together, normaliser = invert(logits, u)
    i = data.draw(st.integers(0, rows - 1))
    alone = invert(logits[i : i + 1], u[i : i + 1])
    assert int(alone[0]) == int(together[i])
    assert float(alone[1]) == float(normaliser[i])


# --- many draws ------------------------------------------------------------------------------

DRAWS = 100_000


def drawn(logits, temperature=1.0, seed=0, draws=DRAWS):
    """(V,) counts of many draws from one row of logits."""
    u = uniform(torch.tensor(seed), 0, torch.arange(draws), Purpose.DRAW)
    out = [
        sampling.draw(logits.expand(len(part), -1), torch.full((len(part),), temperature), part)[0]
        for part in u.split(10_000)
    ]
    return torch.bincount(torch.cat(out), minlength=len(logits))


def moderate(vocab, dtype, seed=0):
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(seed)) * 1.5
    return logits.to(dtype)


@by_dtype
@pytest.mark.parametrize("vocab", [2, 17, 256])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.0])
def test_many_draws_have_the_law_of_softmax(vocab, dtype, temperature):
    logits = moderate(vocab, dtype).float()
    assert chi_square(drawn(logits, temperature), softmax64(logits / temperature)) > ALPHA


def gumbel_race(logits, draws=DRAWS):
    """The common way to draw, with noise in the dtype of the logits."""
    noise = torch.rand(draws, len(logits), generator=torch.Generator().manual_seed(0))
    noise = -torch.log(-torch.log(noise.to(logits.dtype)))
    return torch.bincount((logits + noise).argmax(1), minlength=len(logits))


def test_gumbel_race_in_bf16_fails_the_same_helper():
    logits = moderate(17, torch.bfloat16)
    assert chi_square(gumbel_race(logits), softmax64(logits)) < 1e-12
    assert chi_square(gumbel_race(logits.float()), softmax64(logits)) > ALPHA


@pytest.mark.parametrize("vocab", [2, 17, 256])
def test_a_slightly_wrong_temperature_fails_the_same_helper(vocab):
    logits = moderate(vocab, torch.float32)
    assert chi_square(drawn(logits, 1.05), softmax64(logits)) < ALPHA


def one_step(logits, strategy=None, rows=DRAWS // 4, seed=0):
    """Counts of single tokens generated by the whole engine from these logits (V,)."""

    def net(tokens):
        return logits.expand(*tokens.shape, -1)

    denoiser = unmask.wrap(net, mask_id=len(logits) - 1, vocab_size=len(logits))
    strategy = strategy or presets.random_order(steps=1)
    out = unmask.generate(denoiser, strategy=strategy, batch_size=rows, length=4, seed=seed)
    return torch.bincount(out.flatten(), minlength=len(logits))


@by_dtype
def test_engine_draws_in_float32_whatever_the_network_returns(dtype):
    """bf16 noise gave P(top) = 1.00 where the truth is 0.5."""
    logits = moderate(40, dtype)
    logits[3] = logits.float().logsumexp(0)
    logits[-1] = 20.0  # the mask id
    truth = softmax64(logits.float())
    truth[-1] = 0
    assert 0.3 < float(truth[3] / truth.sum()) < 0.6
    assert chi_square(one_step(logits), truth) > ALPHA


def test_engine_does_not_round_warm_logits_to_bf16():
    """60/7 and 61/7 are 8.571 and 8.714; in bf16 8.5625 and 8.6875, and the law another one."""
    logits = torch.tensor([60.0, 61.0, 62.0, 0.0], dtype=torch.bfloat16)
    strategy = presets.random_order(steps=1, temperature=7.0)
    truth = softmax64(logits.float() / 7)
    truth[-1] = 0
    rounded = softmax64((logits / 7).float())
    rounded[-1] = 0
    counts = one_step(logits, strategy)
    assert chi_square(counts, truth) > ALPHA
    assert chi_square(counts, rounded) < ALPHA


# --- greedy, annealed ------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(0, 99), st.floats(LOW, HIGH), st.floats(LOW, HIGH))
def test_temperature_zero_is_greedy_whatever_the_uniforms(vocab, seed, u0, u1):
    logits = torch.randn(2, vocab, generator=torch.Generator().manual_seed(seed))
    u = pair((u0, u1), (u0, u1))
    token, normaliser = sampling.draw(logits, torch.tensor([0.0, 1.0]), u)
    assert int(token[0]) == int(logits[0].argmax())
    assert float(normaliser[0]) == float(logits[0].max())
    alone = invert(logits[1:], u[1:])
    assert int(token[1]) == int(alone[0])
    assert float(normaliser[1]) == float(alone[1])


def test_a_low_temperature_is_nearly_greedy():
    logits = moderate(50, torch.float32)
    counts = drawn(logits, temperature=1e-4, draws=1000)
    assert int(counts[logits.argmax()]) == 1000


@given(st.integers(1, 30), st.floats(0, 5))
def test_annealed_falls_in_equal_steps_to_zero(total, start):
    progress, steps = np.arange(1, total + 1) / total, np.full(total, total)
    naive = [start * (total - s) / total for s in range(1, total + 1)]
    rule = Annealed(start)(torch.from_numpy(progress), torch.from_numpy(steps))
    np.testing.assert_allclose(rule.numpy(), naive, atol=1e-12)
    found = Sampling(Annealed(start)).temperatures(progress, steps)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, rule.numpy())
    assert float(found[-1]) == 0.0, "the last step is greedy"


def test_temperature_may_be_a_number_or_a_function_of_progress():
    progress, steps = np.array([0.25, 0.5, 1.0]), np.full(3, 4)
    assert Sampling(0.5).temperatures(progress, steps).tolist() == [0.5] * len(progress)
    found = Sampling(lambda r: 2 * r).temperatures(progress, steps)
    assert found.tolist() == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    "function",
    [
        lambda r: r - 2,
        lambda r: r * float("nan"),
        lambda r: r.sum(),
        lambda r: r[:, None],
    ],
)
def test_a_temperature_function_that_returns_nonsense_is_refused(function):
    with pytest.raises(StrategyError, match="return one number ≥ 0 for each row"):
        Sampling(function).temperatures(np.array([0.5, 1.0]), np.array([2, 2]))


# --- filters against naive references ---------------------------------------------------------


def naive_keep(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """Which ids stay, in the order of the documentation, in float64. Assumes no ties."""
    logits = np.asarray(logits, np.float64)
    keep = np.isfinite(logits)
    best_first = np.argsort(-logits)
    if top_k is not None:
        count = top_k if isinstance(top_k, int) else math.ceil(round(top_k * keep.sum(), 6))
        keep[best_first[count:]] = False
    warm = np.where(keep, logits / temperature, -np.inf)
    p = np.exp(warm - warm.max())
    p /= p.sum()
    nucleus = keep.copy()
    if top_p is not None:
        holding = np.cumsum(p[best_first]) - p[best_first]
        nucleus[best_first[holding >= top_p]] = False
    if min_p is not None:
        keep &= p >= min_p * p.max()
    return keep & nucleus


def dropping(draw, logits):
    """Logits (M,V) with what the filters drop at -inf."""
    temperature = torch.full((len(logits),), draw.temperature, dtype=torch.float32)
    return filters.kept(logits, temperature, *draw.filters, torch.empty_like(logits)).dropping(
        logits
    )


@st.composite
def rows_of_logits(draw):
    """Distinct logits in steps of 1/16, exact in float32, some ids illegal but never all."""
    steps = draw(st.lists(st.integers(-160, 160), min_size=1, max_size=24, unique=True))
    logits = np.array(steps, np.float32) / 16
    for i in draw(st.lists(st.integers(0, len(steps) - 1), max_size=len(steps) - 1)):
        if np.isfinite(logits).sum() > 1:
            logits[i] = -np.inf
    return logits


def kept(logits, temperature=1.0, **options):
    draw = Sampling(temperature, **options)
    row = torch.from_numpy(logits)[None]
    out = dropping(draw, row)[0]
    stays = torch.isfinite(out)
    assert torch.equal(out[stays], row[0][stays]), "logits that stay are not changed"
    return stays.numpy()


@given(rows_of_logits(), st.integers(1, 30))
def test_top_k_keeps_the_k_best(logits, k):
    np.testing.assert_array_equal(kept(logits, top_k=k), naive_keep(logits, top_k=k))


@given(rows_of_logits(), st.integers(1, 100))
def test_top_k_fraction_counts_legal_ids_only(logits, percent):
    share = percent / 100
    np.testing.assert_array_equal(kept(logits, top_k=share), naive_keep(logits, top_k=share))
    legal = int(np.isfinite(logits).sum())
    assert kept(logits, top_k=share).sum() == -(-percent * legal // 100)


def test_a_fraction_is_not_rounded_up_by_float_error():
    """0.3 of ten ids is three, though 0.3 · 10 may come out above; 0.7 of ten likewise seven."""
    logits = np.arange(10, dtype=np.float32)
    for tenths in range(1, 11):
        assert kept(logits, top_k=tenths / 10).sum() == tenths
        assert (
            kept(np.append(logits, -np.inf).astype(np.float32), top_k=tenths / 10).sum() == tenths
        )


def test_each_row_counts_its_own_legal_ids():
    logits = torch.arange(10.0).repeat(2, 1)
    logits[1, 4:] = -INF
    assert torch.isfinite(dropping(Sampling(top_k=0.5), logits)).sum(1).tolist() == [5, 2]


def test_the_smallest_fraction_keeps_the_best_id():
    assert kept(np.arange(5, dtype=np.float32), top_k=1e-12).tolist() == [False] * 4 + [True]


@given(rows_of_logits(), st.floats(0.01, 0.999), st.sampled_from([0.5, 1.0, 2.0]))
def test_top_p_is_the_smallest_set_that_holds_the_mass(logits, mass, temperature):
    stays = kept(logits, temperature, top_p=mass)
    p = torch.from_numpy(logits / np.float32(temperature)).double().softmax(0).numpy()
    assert p[stays].sum() >= mass - 1e-6
    assert stays[p.argmax()]
    assert p[stays].sum() - p[stays].min() < mass + 1e-6, "one fewer would do"
    assert p[stays].min() >= p[~stays].max(initial=0), "the likeliest ones"


@pytest.mark.parametrize("vocab", [2, 300, 50_000])
def test_top_p_one_keeps_every_legal_id(vocab):
    """The smallest set that holds all the mass is all of it, tokens of 1e-9 included."""
    logits, rare = spiky(vocab, torch.float32)
    stays = torch.isfinite(dropping(Sampling(top_p=1.0), logits[None])[0])
    assert bool(stays[rare].all())
    assert torch.equal(stays, torch.isfinite(logits))


@given(rows_of_logits(), st.floats(0.001, 0.999), st.sampled_from([0.5, 1.0, 2.0]))
def test_min_p_is_relative_to_the_likeliest(logits, ratio, temperature):
    stays = kept(logits, temperature, min_p=ratio)
    relative = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    assert stays[relative > ratio * (1 + 1e-5)].all()
    assert not stays[relative < ratio * (1 - 1e-5)].any()


def test_min_p_zero_keeps_all():
    assert kept(np.array([0, -80, -np.inf], np.float32), min_p=0).tolist() == [True, True, False]


@given(
    rows_of_logits(),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([None, 3, 0.55]),
    st.sampled_from([None, 0.31, 0.83, 0.97]),
    st.sampled_from([None, 0.013, 0.37]),
)
def test_filters_combine_in_the_documented_order(logits, temperature, k, p, m):
    options = {"top_k": k, "top_p": p, "min_p": m}
    stays = kept(logits, temperature, **options)
    naive = naive_keep(logits, temperature, **options)
    nudged = [naive_keep(logits, temperature, k, p and p + e, m and m + e) for e in (-1e-6, 1e-6)]
    assert any(np.array_equal(stays, other) for other in (naive, *nudged))
    assert stays.any()


@given(rows_of_logits(), st.sampled_from([{"top_p": 0.5}, {"min_p": 0.5}, {"top_k": 3}]))
def test_filters_at_temperature_zero_keep_the_best(logits, options):
    assert kept(logits, 0.0, **options)[logits.argmax()]


def test_filtered_draws_have_the_law_of_what_is_left():
    logits = moderate(30, torch.float32)
    logits[-1] = 9.0  # the mask id, which must not count
    strategy = presets.random_order(steps=1).but(
        sampling=Sampling(0.7, top_k=0.5, top_p=0.9, min_p=0.03)
    )
    stays = naive_keep(logits[:-1].numpy(), 0.7, 0.5, 0.9, 0.03)
    assert 3 < stays.sum() < 15
    truth = np.append(np.exp(logits[:-1].double().numpy() / 0.7) * stays, 0)
    assert chi_square(one_step(logits, strategy), truth) > ALPHA


def test_plain_is_the_models_own_distribution():
    assert Sampling().plain
    assert Sampling(1).plain
    assert not any(
        draw.plain
        for draw in (Sampling(0.9), Sampling(top_k=3), Sampling(top_p=1.0), Sampling(Annealed()))
    )


# --- options that cannot work ----------------------------------------------------------------


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf, -INF, "1", None, [1.0]])
def test_temperature_out_of_range_is_refused(temperature):
    for make in (Sampling, Annealed):
        with pytest.raises(StrategyError, match="pass a number ≥ 0"):
            make(temperature)


@pytest.mark.parametrize("k", [0, -1, 0.0, -0.5, 1.5, True, math.nan, "3"])
def test_top_k_out_of_range_is_refused(k):
    with pytest.raises(StrategyError, match="pass how many ids to keep"):
        Sampling(top_k=k)


@pytest.mark.parametrize("p", [0, 0.0, -0.1, 1.1, math.nan, math.inf])
def test_top_p_out_of_range_is_refused(p):
    with pytest.raises(StrategyError, match=r"pass a mass in \(0, 1\]"):
        Sampling(top_p=p)


@pytest.mark.parametrize("p", [-0.1, 1, 1.0, math.nan, math.inf])
def test_min_p_out_of_range_is_refused(p):
    with pytest.raises(StrategyError, match=r"pass a ratio in \[0, 1\)"):
        Sampling(min_p=p)


@pytest.mark.parametrize("name", ["top_p", "min_p"])
@pytest.mark.parametrize("value", ["0.9", [0.9]], ids=repr)
def test_text_instead_of_a_number_is_refused(name, value):
    with pytest.raises(StrategyError, match=name):
        Sampling(**{name: value})


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="topk"):
        Sampling(topk=3)


# --- statistics ------------------------------------------------------------------------------


def statistics(row):
    """Margin, entropy and gap of one row of logits."""
    u, held = torch.full((1, 2), 0.5, dtype=torch.float64), torch.tensor([-1])
    needs = {"margin", "entropy", "gap"}
    one = Temperatures(1.0, some_greedy=False)
    found = draw_with_statistics(row[None].clone(), Sampling(), one, u, held, needs)
    return tuple(float(found[name]) for name in ("margin", "entropy", "gap"))


@pytest.mark.parametrize(
    "how", [Sampling(), Sampling(0.4), Sampling(1.7, top_k=3), Sampling(top_p=0.8), Sampling(0.0)]
)
@given(logits=rows_of_logits())
def test_the_sampling_entropy_is_of_what_is_drawn_from(how, logits):
    row, value = torch.from_numpy(logits), how.temperature
    u, held = torch.full((1, 2), 0.5, dtype=torch.float64), torch.tensor([-1])
    given = Temperatures(value, some_greedy=value == 0)
    found = draw_with_statistics(row[None].clone(), how, given, u, held, {"sampling_entropy"})
    if value == 0:
        assert float(found["sampling_entropy"]) == 0
        return
    shifted = row[None] - row.max()
    kept_ids = torch.ones(1, len(row), dtype=torch.bool)
    if how.filtered:
        kept = filters.kept(shifted.clone(), value, *how.filters, room=shifted.clone())
        kept_ids = kept.holds(shifted, torch.arange(len(row))[None])
    p = (shifted.double() / value).masked_fill(~kept_ids, -INF).softmax(1).numpy()
    positive = p[p > 0]
    naive = -(positive * np.log(positive)).sum()
    assert float(found["sampling_entropy"]) == pytest.approx(naive, abs=1e-5)


@given(rows_of_logits())
def test_margin_entropy_and_gap_are_their_definitions(logits):
    row = torch.from_numpy(logits)
    best = np.sort(row.double().numpy())[::-1]
    gap = best[0] - best[1] if len(best) > 1 else INF
    p = np.sort(row.double().softmax(0).numpy())
    second = p[-2] if len(p) > 1 else 0.0
    positive = p[p > 0]
    naive = -(positive * np.log(positive)).sum()
    assert statistics(row) == pytest.approx((p[-1] - second, naive, gap), abs=1e-5)


def test_statistics_of_one_id_and_of_one_legal_id():
    for row in (torch.tensor([4.0]), torch.tensor([-INF, 4.0, -INF])):
        assert statistics(row) == (1.0, 0.0, INF)


def test_statistics_of_a_flat_row():
    margin, entropy, gap = statistics(torch.zeros(1000))
    assert margin == gap == 0
    assert entropy == pytest.approx(math.log(1000), rel=1e-6)
