"""Samplers against laws that are computed, not sampled (ALGORITHMS.md, section 4).

The law of each sampler on a 3**4 joint is enumerated here in plain Python from the rule of its
paper, sharing nothing with the library. A method that is exact must match the truth as well; one
that is not must match its own law and fail against the truth.

Every comparison is a chi-square with false-fail rate ALPHA on fixed seeds.
"""

import math
from collections import defaultdict
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
import torch
from tests.reference.oracles import (
    JointOracle,
    MarkovOracle,
    ParityOracle,
    PermutationOracle,
    chain_8,
    chi_square,
    joint_3_4,
)

import unmask
from unmask import ordering, presets
from unmask.pace import Explicit

ALPHA = 1e-4
ROWS = 30_000
UNKNOWN = 3
JOINT = joint_3_4()
ORACLE = JointOracle(JOINT)
BLANK = (UNKNOWN,) * 4
ONE_AT_A_TIME = (1, 1, 1, 1)


# --- the truth about one state ---------------------------------------------------------------


@cache
def conditionals(state):
    """(4,3): p(x_i | the other visible tokens), by summing the joint."""
    rows = []
    for i in range(4):
        part = JOINT
        for j, token in enumerate(state):
            if j != i and token != UNKNOWN:
                part = part.take([token], axis=j)
        mass = part.sum(axis=tuple(j for j in range(4) if j != i))
        rows.append(mass / mass.sum())
    return np.array(rows)


def unknowns(state):
    return [i for i in range(4) if state[i] == UNKNOWN]


def fills(state, places, p):
    """Every way to draw the places independently from p (4,3): (probability, state)."""
    for tokens in product(range(3), repeat=len(places)):
        filled = list(state)
        for i, token in zip(places, tokens, strict=True):
            filled[i] = token
        yield math.prod(p[i, filled[i]] for i in places), tuple(filled)


def only(filled, state, known):
    """The canvas that keeps `known` of what is filled in, unknown elsewhere."""
    return tuple(filled[i] if i in known else UNKNOWN for i in range(len(state)))


# --- how positions are picked by score: (probability, set) -----------------------------------


def top(score, count, _spread=0.0):
    best = sorted(score, key=lambda i: (-score[i], i))[:count]
    yield 1.0, frozenset(best)


def gumbel_top(score, count, spread):
    """Best of score + spread·Gumbel: without replacement, in proportion to exp(score/spread)."""
    if spread == 0:
        yield from top(score, count)
        return
    peak = max(score.values())
    weight = {i: math.exp((s - peak) / spread) for i, s in score.items()}
    for picked in permutations(score, count):
        left, probability = sum(weight.values()), 1.0
        for i in picked:
            probability *= weight[i] / left
            left -= weight[i]
        yield probability, frozenset(picked)


# --- one step of each sampler: (probability, next state) -------------------------------------


def random_step(state, count, r):
    """Choose uniformly, then draw."""
    p, open_ = conditionals(state), unknowns(state)
    for q, chosen in gumbel_top(dict.fromkeys(open_, 0.0), count, 1.0):
        for f, filled in fills(state, sorted(chosen), p):
            yield q * f, filled


def state_scored_step(score):
    """Choose by a score of each conditional, then draw."""

    def step(state, count, r):
        p = conditionals(state)
        for _, chosen in top({i: score(p[i], i) for i in unknowns(state)}, count):
            yield from fills(state, sorted(chosen), p)

    return step


def drawn_scored_step(warmth=lambda r: 1.0, keep=3, spread=lambda r: 0.0, remask=False):
    """Draw everywhere at temperature warmth(r), then choose by log p of what was drawn.

    p is the conditional with its `keep` best tokens, renormalised.
    """

    def step(state, count, r):
        p = best_tokens(conditionals(state), keep)
        known = [i for i in range(4) if state[i] != UNKNOWN]
        for f, filled in fills(state, unknowns(state), heated(p, warmth(r))):
            if f == 0:
                continue
            # A held token that the filter removed has no mass; 1e-300 ranks it last, finitely.
            running = range(4) if remask else unknowns(state)
            score = {i: math.log(max(p[i, filled[i]], 1e-300)) for i in running}
            stay = len(known) if remask else 0
            for q, chosen in gumbel_top(score, stay + count, spread(r)):
                keeps = chosen if remask else chosen | set(known)
                yield f * q, only(filled, state, keeps)

    return step


def critic_step(table, scale, remask):
    """Fill everything, keep what the critic finds least wrong, with fading Gumbel noise."""

    def step(state, count, r):
        known = [i for i in range(4) if state[i] != UNKNOWN]
        for f, filled in fills(state, unknowns(state), conditionals(state)):
            running = range(4) if remask else unknowns(state)
            score = {i: -table[filled][i] for i in running}
            stay = len(known) if remask else 0
            for q, chosen in gumbel_top(score, stay + count, scale * (1 - r)):
                keeps = chosen if remask else chosen | set(known)
                yield f * q, only(filled, state, keeps)

    return step


def ancestral_step(steps):
    """MDLM on a linear schedule: each unknown revealed with probability (m_t − m_s)/m_t."""

    def step(state, _count, r):
        reveal = (1 / steps) / (1 - r + 1 / steps)
        p, open_ = conditionals(state), unknowns(state)
        for coins in product((False, True), repeat=len(open_)):
            shown = [i for i, coin in zip(open_, coins, strict=True) if coin]
            q = reveal ** len(shown) * (1 - reveal) ** (len(open_) - len(shown))
            for f, filled in fills(state, shown, p):
                yield q * f, filled

    return step


def best_tokens(p, keep):
    threshold = np.sort(p, 1)[:, -keep][:, None]
    kept = np.where(p >= threshold, p, 0.0)
    return kept / kept.sum(1, keepdims=True)


def heated(p, temperature):
    if temperature == 0:
        return (p == p.max(1, keepdims=True)).astype(float)
    hot = p ** (1 / temperature)
    return hot / hot.sum(1, keepdims=True)


def law_of(step, counts):
    """(3,3,3,3): the law of the finished canvas when `step` commits counts[s] at step s."""
    law = {BLANK: 1.0}
    for s, count in enumerate(counts, 1):
        after = defaultdict(float)
        for state, mass in law.items():
            for q, then in step(state, count, s / len(counts)):
                if q > 0:
                    after[then] += mass * q
        law = after
    out = np.zeros(JOINT.shape)
    for state, mass in law.items():
        out[state] += mass
    return out


def distance(law):
    """Total variation to the truth."""
    return np.abs(law - JOINT).sum() / 2


def largest_probability(p, _i):
    return math.log(p.max())


def negative_entropy(p, _i):
    return float((p * np.log(p)).sum())


def gap(p, _i):
    return float(np.sort(p)[-1] - np.sort(p)[-2])


def leftness(_p, i):
    return -i


# --- the published numbers, by enumeration ---------------------------------------------------

DRAW_THEN_CHOOSE = law_of(drawn_scored_step(), ONE_AT_A_TIME)


@pytest.mark.parametrize("score", [largest_probability, negative_entropy, gap, leftness])
def test_choose_then_draw_one_at_a_time_is_exact(score):
    assert distance(law_of(state_scored_step(score), ONE_AT_A_TIME)) < 1e-12


def test_random_order_one_at_a_time_is_exact():
    assert distance(law_of(random_step, ONE_AT_A_TIME)) < 1e-12


def test_draw_then_choose_is_far_from_exact_even_one_at_a_time():
    assert distance(DRAW_THEN_CHOOSE) == pytest.approx(0.387, abs=0.1)


def test_error_of_random_order_grows_with_the_tokens_committed_together():
    tv = [distance(law_of(random_step, counts)) for counts in [(2, 1, 1), (2, 2), (4,)]]
    assert tv == pytest.approx([0.140, 0.247, 0.618], abs=0.06)


def test_error_of_ancestral_sampling_falls_like_one_over_steps():
    tv = [distance(law_of(ancestral_step(steps), [0] * steps)) for steps in (4, 16, 64)]
    assert tv == pytest.approx([0.207, 0.057, 0.014], rel=0.3)
    assert tv[1] / tv[2] == pytest.approx(4, rel=0.1)


def test_oracle_gives_the_true_conditionals():
    states = list(product(range(4), repeat=4))
    logits = ORACLE(torch.tensor(states))
    assert logits.dtype == torch.float32
    assert logits.shape == (256, 4, 4)
    assert bool((logits[..., UNKNOWN] == 0).all())
    for state, found in zip(states, logits[..., :3].exp().numpy(), strict=True):
        np.testing.assert_allclose(found, conditionals(state), rtol=1e-5)


# --- the library against the laws ------------------------------------------------------------

CRITIC = np.random.default_rng(5).normal(size=(3, 3, 3, 3, 4)) * 1.5


def table_critic(tokens, *, valid, condition):
    """A deterministic critic: a table over all 81 sequences."""
    a, b, c, d = tokens.unbind(1)
    return torch.from_numpy(CRITIC)[a, b, c, d]


def ordered(order, counts=ONE_AT_A_TIME):
    return presets.random_order(steps=4).but(order=order, pace=Explicit(counts))


def annealing(start):
    return lambda r: start * (1 - r)


EXACT = {
    "random_order": presets.random_order(steps=4),
    "random_order, more steps than positions": presets.random_order(steps=9),
    "first_hitting": presets.first_hitting(),
    "confidence": presets.confidence(steps=4),
    "margin": ordered(ordering.Margin()),
    "entropy": ordered(ordering.Entropy()),
    "left to right": ordered(ordering.LeftToRight()),
    "halton": ordered(ordering.Halton(2, 2)),
    "random with noise on top": ordered(ordering.ChoiceNoise(ordering.Random(), 2.0)),
    "confidence with noise": ordered(ordering.ChoiceNoise(ordering.Probability(), 1.0)),
}

# Library strategy, rule, how many positions each step commits (written down, not asked for).
COMPUTED = {
    "random_order T=3": (presets.random_order(steps=3), random_step, (2, 1, 1)),
    "random_order T=2": (presets.random_order(steps=2), random_step, (2, 2)),
    "random_order T=1": (presets.random_order(steps=1), random_step, (4,)),
    "confidence T=2": (
        presets.confidence(steps=2),
        state_scored_step(largest_probability),
        (2, 2),
    ),
    "entropy [1,3]": (
        ordered(ordering.Entropy(), (1, 3)),
        state_scored_step(negative_entropy),
        (1, 3),
    ),
    "maskgit without noise T=4": (
        presets.maskgit(steps=4, choice_temperature=0),
        drawn_scored_step(),
        ONE_AT_A_TIME,
    ),
    "maskgit without noise T=3": (
        presets.maskgit(steps=3, choice_temperature=0),
        drawn_scored_step(),
        (1, 1, 2),
    ),
    "maskgit T=4": (
        presets.maskgit(steps=4),
        drawn_scored_step(spread=annealing(4.5)),
        ONE_AT_A_TIME,
    ),
    "maskgit T=3, hot": (
        presets.maskgit(steps=3, temperature=1.7, choice_temperature=1.0),
        drawn_scored_step(lambda r: 1.7, spread=annealing(1.0)),
        (1, 1, 2),
    ),
    "annealed T=4": (
        presets.annealed(steps=4, keep=None),
        drawn_scored_step(annealing(1.0)),
        ONE_AT_A_TIME,
    ),
    "annealed T=3, hot": (
        presets.annealed(steps=3, temperature=2.5, keep=None),
        drawn_scored_step(annealing(2.5)),
        (2, 1, 1),
    ),
    "annealed, best two tokens": (
        presets.annealed(steps=4, keep=0.5),
        drawn_scored_step(annealing(1.0), keep=2),
        ONE_AT_A_TIME,
    ),
    "annealed with remask": (
        presets.annealed(steps=4, keep=None, remask=True),
        drawn_scored_step(annealing(1.0), remask=True),
        ONE_AT_A_TIME,
    ),
    "annealed with remask, best two tokens": (
        presets.annealed(steps=4, temperature=2.0, keep=0.5, remask=True),
        drawn_scored_step(annealing(2.0), keep=2, remask=True),
        ONE_AT_A_TIME,
    ),
    "token_critic": (
        presets.token_critic(table_critic, steps=4),
        critic_step(CRITIC, 1.0, remask=True),
        ONE_AT_A_TIME,
    ),
    "token_critic T=3, loud": (
        presets.token_critic(table_critic, steps=3, noise_scale=3.0),
        critic_step(CRITIC, 3.0, remask=True),
        (1, 1, 2),
    ),
    "token_critic without noise": (
        presets.token_critic(table_critic, steps=4, noise_scale=0.0),
        critic_step(CRITIC, 0.0, remask=True),
        ONE_AT_A_TIME,
    ),
    "token_critic without remask": (
        presets.token_critic(table_critic, steps=4, remask=False),
        critic_step(CRITIC, 1.0, remask=False),
        ONE_AT_A_TIME,
    ),
}


def generated(strategy, seed=0, rows=ROWS):
    """(3,3,3,3) counts of generated rows."""
    denoiser = unmask.wrap(ORACLE, mask_id=UNKNOWN)
    tokens = unmask.generate(denoiser, strategy=strategy, batch_size=rows, length=4, seed=seed)
    assert int(tokens.max()) < UNKNOWN, "the mask id was drawn"
    return counted(tokens)


def counted(tokens):
    place = torch.tensor([27, 9, 3, 1])
    return torch.bincount((tokens * place).sum(1), minlength=81).view(3, 3, 3, 3).numpy()


@pytest.mark.parametrize("name", EXACT)
def test_exact_methods_match_the_truth(name):
    assert chi_square(generated(EXACT[name]), JOINT) > ALPHA


@pytest.mark.parametrize("name", COMPUTED)
def test_methods_match_their_computed_law(name):
    strategy, step, counts = COMPUTED[name]
    law = law_of(step, counts)
    assert law.sum() == pytest.approx(1)
    counts = generated(strategy)
    assert chi_square(counts, law) > ALPHA
    assert chi_square(counts, JOINT) < ALPHA, "as good as exact: the rule is not put to the test"


def test_given_tokens_are_conditioned_on():
    tokens = torch.tensor([[0, 2, 0, 0]]).expand(ROWS, 4)
    editable = torch.tensor([[True, False, True, True]]).expand(ROWS, 4)
    canvas = unmask.Canvas.infill(tokens.clone(), editable.clone())
    denoiser = unmask.wrap(ORACLE, mask_id=UNKNOWN)
    out = unmask.generate(denoiser, canvas, presets.random_order(steps=3), seed=0)
    truth = np.zeros(JOINT.shape)
    truth[:, 2] = JOINT[:, 2]
    assert chi_square(counted(out), truth) > ALPHA


# Negative controls: the same helper must see these.


def test_draw_then_choose_fails_against_the_truth():
    counts = generated(presets.maskgit(steps=4, choice_temperature=0))
    assert chi_square(counts, JOINT) < 1e-12


def test_choose_then_draw_fails_against_the_law_of_draw_then_choose():
    assert chi_square(generated(presets.confidence(steps=4)), DRAW_THEN_CHOOSE) < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        presets.random_order(steps=4, temperature=1.1),
        presets.confidence(steps=4, temperature=0.9),
        presets.random_order(steps=4).but(draw=unmask.Draw(min_p=0.03)),
        presets.random_order(steps=3),
    ],
    ids=["temperature 1.1", "temperature 0.9", "rare tokens lost", "one step too few"],
)
def test_slightly_wrong_samplers_fail_against_the_truth(wrong):
    assert chi_square(generated(wrong), JOINT) < ALPHA


def test_reused_randomness_fails_against_the_truth():
    """Rows that share their uniforms two by two: the engine is right, its randomness is not."""
    half = generated(EXACT["random_order"], rows=ROWS // 10)
    assert chi_square(half * 10, JOINT) < ALPHA


# --- a Markov chain: what happens when several tokens are committed together ------------------

MARKOV = MarkovOracle(chain_8())
MARKOV_ROWS = 600
STEPS = (4, 8, 16, 32)


def bigram_counts(tokens):
    pairs = tokens[:, :-1] * MARKOV.mask_id + tokens[:, 1:]
    return torch.bincount(pairs.flatten(), minlength=MARKOV.mask_id**2).double()


def bigram_kl(tokens):
    """KL of the generated bigrams to the true ones, nats. Noise alone gives 63/(2·31·rows)."""
    seen = bigram_counts(tokens) / bigram_counts(tokens).sum()
    return float(torch.xlogy(seen, seen / MARKOV.bigrams.flatten()).sum())


def markov(preset, steps, **options):
    denoiser = unmask.wrap(MARKOV, mask_id=MARKOV.mask_id)
    strategy = preset(steps=steps, schedule="linear", **options)
    return unmask.generate(denoiser, strategy=strategy, batch_size=MARKOV_ROWS, length=32, seed=1)


@pytest.fixture(scope="module")
def chains():
    """Tokens (rows,32) by method and number of steps."""
    methods = {
        "random": (presets.random_order, {}),
        "confidence": (presets.confidence, {}),
        "maskgit 0": (presets.maskgit, {"choice_temperature": 0}),
        "maskgit 4.5": (presets.maskgit, {"choice_temperature": 4.5}),
    }
    return {
        name: {steps: markov(preset, steps, **options) for steps in STEPS}
        for name, (preset, options) in methods.items()
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


def test_a_better_likelihood_is_not_a_better_sampler(chains, kl):
    """The collapsed sampler has the best likelihood by far."""
    log_next = MARKOV.transition.log()

    def nll(tokens):
        return -float(log_next[tokens[:, :-1], tokens[:, 1:]].mean())

    truth = -float((MARKOV.bigrams * log_next).sum())
    assert nll(chains["random"][32]) == pytest.approx(truth, abs=0.02)
    assert nll(chains["maskgit 0"][32]) < truth - 0.4


def test_exact_orders_give_the_bigrams_of_the_chain(chains):
    """Disjoint pairs of distant places would be independent; 31 overlapping ones are thinned to 4.

    Places 0-1, 10-11, 20-21 and 30-31 are nearly independent: P^9 has forgotten where it was.
    """
    for name in ("random", "confidence"):
        tokens = chains[name][32]
        thinned = sum(bigram_counts(tokens[:, i : i + 2]) for i in (0, 10, 20, 30))
        assert chi_square(thinned, MARKOV.bigrams) > ALPHA
    thinned = sum(bigram_counts(chains["random"][4][:, i : i + 2]) for i in (0, 10, 20, 30))
    assert chi_square(thinned, MARKOV.bigrams) < ALPHA


# --- closed forms ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("counts", [(1, 1, 1, 1, 1), (4, 1), (2, 2, 1)])
def test_parity_holds_when_the_last_step_reveals_one_token(counts):
    tokens = sampled(ParityOracle(3, 5), ordered(ordering.Random(), counts))
    assert bool((tokens.sum(1) % 3 == 0).all())
    # Uniform over the sequences that have it: the first four tokens are free.
    place = torch.tensor([27, 9, 3, 1])
    assert chi_square(torch.bincount((tokens[:, :4] * place).sum(1)), np.ones(81)) > ALPHA


@pytest.mark.parametrize("counts", [(5,), (3, 2), (1, 1, 1, 2)])
def test_parity_holds_once_in_v_when_the_last_step_reveals_more(counts):
    tokens = sampled(ParityOracle(3, 5), ordered(ordering.Random(), counts))
    assert chi_square(torch.bincount(tokens.sum(1) % 3, minlength=3), np.ones(3)) > ALPHA
