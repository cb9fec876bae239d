"""`Sampling.bias` against laws in which p(token) ∝ p(token)·exp(bias), enumerated without it."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from tests.constraints.test_feasible import accepts
from tests.laws.cases import Case, Told
from tests.laws.plain import PLAIN, choose_then_draw, draw_then_choose, nothing
from tests.laws.world import (
    ONE_AT_A_TIME,
    UNKNOWN,
    conditionals,
    distance,
    guided,
    heated,
    nucleus,
    turns,
)
from tests.reference.oracles import chi_square

import unmask
from unmask import Canvas, Constraint, Guidance, Sampling, Strategy, orders, presets
from unmask.commit import Explicit, TopK
from unmask.constraints import Automaton, Listed
from unmask.decoding.seeds import row_seeds
from unmask.errors import StrategyError
from unmask.scoring import Ordered, score

ALPHA = 1e-4
BIAS = {0: -0.8, 2: 0.7}
ROUND_TRIP = {"top_p": 0.75, "temperature": 0.7}


def tilted(p, sign=1):
    """p(token)·exp(bias), renormalised."""
    out = p * np.exp([sign * BIAS.get(token, 0.0) for token in range(3)])
    return out / out.sum(1, keepdims=True)


def two_best(p):
    kept = np.where(p >= np.sort(p, 1)[:, -2:-1], p, 0.0)
    return kept / kept.sum(1, keepdims=True)


def chosen(shape, sign=1):
    return choose_then_draw(nothing, spread=PLAIN, drawn=lambda p: shape(tilted(p, sign)))


def judged(shape, sign=1, **options):
    def says(p, _turn):
        return shape(tilted(p, sign))

    return draw_then_choose(shaped=says, judged=says, **options)


def same(p):
    return p


def hot(p):
    return heated(p, 0.7)


def best(p):
    return heated(p, 0.0)


def cut(p):
    return nucleus(hot(p), 0.75)


AT_RANDOM = presets.random_order(4, schedule="linear")
AFTER = Strategy(TopK(Explicit([2, 2])), orders.Probability("after", of="kept"))
LEFT_TO_RIGHT = Strategy(TopK(Explicit(ONE_AT_A_TIME)), orders.LeftToRight())
GUIDED = AFTER.but(guidance=Guidance(2.0))
RULES = {
    "alone": (AT_RANDOM, {}, chosen, same, ONE_AT_A_TIME),
    "warmer": (AT_RANDOM, {"temperature": 0.7}, chosen, hot, ONE_AT_A_TIME),
    "greedy": (AT_RANDOM, {"temperature": 0}, chosen, best, ONE_AT_A_TIME),
    "top-k": (AT_RANDOM, {"top_k": 2}, chosen, two_best, ONE_AT_A_TIME),
    "top-p": (AT_RANDOM, ROUND_TRIP, chosen, cut, ONE_AT_A_TIME),
    "race": (AT_RANDOM, {"gumbel": True}, chosen, same, ONE_AT_A_TIME),
    "ranked": (AFTER, {}, judged, same, (2, 2)),
    "guided": (GUIDED, {}, judged, same, (2, 2)),
}


def case_of(name, sign=1):
    strategy, options, rule, shape, counts = RULES[name]
    more = {"model": guided(lambda *_: 2.0)} if name == "guided" else {}
    sampling = Sampling(**options, bias=BIAS)
    return Case(strategy.but(sampling=sampling), rule(shape, sign, **more), turns(counts))


@pytest.mark.parametrize("name", RULES)
def test_tokens_have_the_law_of_logits_with_the_bias(name):
    """False-fail rate ALPHA; the law of the opposite bias, and of none, must fail."""
    case = case_of(name)
    assert chi_square(case.counts, case.law) > ALPHA
    for sign in (0, -1):
        other = case_of(name, sign).law
        assert distance(case.law, other) > 0.02
        assert chi_square(case.counts, other) < ALPHA


# Under words that are allowed, one position after the other.
TABLE = [[1, 2, 0, -1], [3, -1, 0, -1], [-1, -1, 0, -1], [1, 2, -1, -1]]
WORDS = [word for word in product(range(3), repeat=4) if accepts(TABLE, 0, [0, 1, 3], word)]
HOOKS = {
    "automaton": Automaton(torch.tensor(TABLE), 0, [0, 1, 3]),
    "listed": Listed(torch.tensor(WORDS), 4),
}


def law_of_words(sign):
    """(3,3,3,3): from left to right, each token among those that some word goes on with."""
    law = np.zeros((3, 3, 3, 3))
    for word in WORDS:
        law[word] = 1.0
        for i in range(4):
            p = tilted(conditionals((*word[:i], *(UNKNOWN,) * (4 - i))), sign)[i]
            law[word] *= p[word[i]] / sum(p[t] for t in {w[i] for w in WORDS if w[:i] == word[:i]})
    return law


@pytest.mark.parametrize("hook", HOOKS)
def test_words_that_a_hook_allows_have_the_law_of_the_bias(hook):
    strategy = LEFT_TO_RIGHT.but(
        sampling=Sampling(bias=BIAS), constraint=Constraint(feasible=HOOKS[hook])
    )
    counts = Case(strategy).counts
    assert chi_square(counts, law_of_words(1)) > ALPHA
    assert chi_square(counts, law_of_words(0)) < ALPHA


def one_row(strategy, rows=64):
    return unmask.run(Told(), Canvas.blank(rows, 4), strategy, seed=3)


def test_the_record_is_of_the_model_and_of_what_is_drawn_from():
    strategy = LEFT_TO_RIGHT.but(sampling=Sampling(0.7, bias=BIAS))
    found = one_row(strategy)
    for row, of_model, of_draw in zip(
        found.tokens.tolist(), found.logprob, found.sampling_logprob, strict=True
    ):
        for i, token in enumerate(row):
            p = conditionals((*row[:i], *(UNKNOWN,) * (4 - i)))
            assert float(of_model[i]) == pytest.approx(math.log(p[i, token]), abs=1e-4)
            shaped = heated(tilted(p), 0.7)[i, token]
            assert float(of_draw[i]) == pytest.approx(math.log(shaped), abs=1e-4)


def nats_of(every, **options):
    by = Ordered(LEFT_TO_RIGHT.but(sampling=Sampling(**options)))
    return score(Told(), every, by=by).per_example


def test_the_exact_likelihood_is_of_what_is_drawn_from():
    every = torch.tensor(list(product(range(3), repeat=4)))
    nats = nats_of(every, bias=BIAS)
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-4)
    assert not torch.allclose(nats_of(every), nats, atol=0.1)


def test_strategies_of_several_biases_share_passes_as_if_alone():
    biases = [{}, {0: -5.0}, {0: 5.0}, {1: 3.0, 2: -3.0}]
    strategies = [presets.confidence(3).but(sampling=Sampling(bias=bias)) for bias in biases]
    canvas, network = Canvas.blank(5, 4), Told()
    alone = [unmask.generate(network, canvas, s, seed=1).tolist() for s in strategies]
    assert len({str(rows) for rows in alone}) == len(biases)
    engine = unmask.Engine(network)
    ids = [engine.submit(canvas, s, row_seeds(canvas, 1, None)) for s in strategies]
    found = {}
    while len(engine.unfinished):
        for event in engine.step():
            found |= {row: record.tokens[0].tolist() for row, record in event.results()}
    assert [[found[int(i)] for i in part] for part in ids] == alone


def test_a_large_bias_forces_an_id_and_an_illegal_id_stays_illegal():
    for bias in ({1: 100.0}, {3: 1e4, 1: 100.0}, {0: -1e4, 2: -1e4}):
        for temperature in (0.0, 1.0):
            strategy = presets.random_order(2).but(sampling=Sampling(temperature, bias=bias))
            assert bool((one_row(strategy).tokens == 1).all())


def test_a_bias_is_data():
    one, other = Sampling(bias={5: 1, 2: -3.0, 7: 0}), Sampling(bias=[(2, -3), (5, 1.0)])
    assert one == other
    assert hash(one) == hash(other)
    assert one.bias == ((2, -3.0), (5, 1.0))
    strategy = presets.confidence(3).but(sampling=one)
    assert Strategy.from_dict(json.loads(json.dumps(strategy.to_dict()))) == strategy
    assert not one.plain
    assert Sampling(bias={}).plain
    assert eval(repr(one)) == one


@pytest.mark.parametrize(
    ("bias", "said"),
    [
        (3, "pass a number for each id"),
        ("ab", "pass a number for each id"),
        ([4], "pairs of an id and a number"),
        ({"4": 1.0}, "of the id '4': pass integers"),
        ({True: 1.0}, "of the id True"),
        ({4: math.nan}, "bias=nan of the id 4: pass a finite number"),
        ({4: math.inf}, "bias=inf of the id 4"),
        ({4: 1.1e4}, "from -10000 to 10000"),
        ([(4, 1), (4, 2)], "the id 4 twice"),
    ],
)
def test_what_is_no_bias_is_refused(bias, said):
    with pytest.raises(StrategyError, match=said):
        Sampling(bias=bias)


@pytest.mark.parametrize("token", [-1, 4])
def test_ids_outside_the_vocabulary_are_refused_before_any_work(token):
    strategy = presets.confidence(3).but(sampling=Sampling(bias={1: 2.0, token: 1.0}))
    with pytest.raises(StrategyError, match=rf"bias is of the ids \[{token}\], outside .* of 4"):
        unmask.generate(Told(), Canvas.blank(1, 4), strategy)
    state = unmask.init(Told(), Canvas.blank(1, 4), presets.confidence(3), seeds=[0])
    with pytest.raises(StrategyError, match="outside the vocabulary"):
        unmask.step(state, Told(), strategy)


@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        (presets.diffusion_gemma(block=4), "AtOnce"),
        (presets.llada21(block=4), "Edit"),
        (
            presets.confidence(2).but(
                constraint=Constraint(feasible=HOOKS["automaton"], likeliest=True)
            ),
            r"Constraint\(likeliest=True\)",
        ),
    ],
    ids=["at once", "edited", "likeliest"],
)
def test_parts_that_go_by_the_networks_likeliest_ids_refuse_a_bias(strategy, part):
    with pytest.raises(StrategyError, match=part):
        strategy.but(sampling=Sampling(bias={1: 1.0}))


def test_credit_and_a_bias_add_up():
    """The credit alone, the bias alone and both lead to other tokens."""
    makes = [
        one_row(s, 400).tokens
        for s in (
            presets.credit().but(sampling=Sampling(0.9)),
            presets.credit().but(sampling=Sampling(0.9, bias=BIAS)),
        )
    ]
    share = [float((tokens == 2).double().mean()) for tokens in makes]
    assert share[1] > share[0] + 0.05
