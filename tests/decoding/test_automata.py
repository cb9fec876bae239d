"""Commits under an automaton: the law of every plan, the likeliest words, every preset."""

import math
from functools import cache
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.catalogue import variants
from tests.constraints.test_feasible import accepts, automata
from tests.reference.oracles import JointOracle, chi_square, joint_3_4

import unmask
from unmask import Canvas, Constraint, Sampling, commit, orders, presets
from unmask.constraints import Automaton
from unmask.errors import CanvasError, StrategyError
from unmask.stopping import EndOfSequence

N, K = 4, 3  # positions; ids of data, the mask id is K
ORACLE = JointOracle(joint_3_4())
# Words in which 1 is followed by 2 and every other 0 by 1; 2 comes first at most twice.
TABLE = [[1, 2, 0, -1], [3, -1, 0, -1], [-1, -1, 0, -1], [1, 2, -1, -1]]
AUTOMATON = Automaton(torch.tensor(TABLE), 0, [0, 1, 3])
WORDS = [w for w in product(range(K), repeat=N) if accepts(TABLE, 0, [0, 1, 3], w)]


@cache
def conditionals(canvas):
    """(N,K) float64: p(x_i | what is known), K where unknown, by summing the joint."""
    joint, rows = joint_3_4(), []
    for i in range(N):
        part = joint
        for j, token in enumerate(canvas):
            if j != i and token != K:
                part = part.take([token], axis=j)
        mass = part.sum(axis=tuple(j for j in range(N) if j != i))
        rows.append(mass / mass.sum())
    return rows


def enforced(canvas, places, words, temperature=1.0):
    """(probability, canvas) of drawing places from left to right among what words allow."""
    p, law = conditionals(canvas), {canvas: 1.0}
    for i in sorted(places):
        after = {}
        for now, mass in law.items():
            fits = [w for w in words if all(a in (K, b) for a, b in zip(now, w, strict=True))]
            allowed = sorted({w[i] for w in fits})
            weights = [p[i][token] ** (1 / temperature) for token in allowed]
            for token, weight in zip(allowed, weights, strict=True):
                filled = (*now[:i], token, *now[i + 1 :])
                after[filled] = after.get(filled, 0.0) + mass * weight / sum(weights)
        law = after
    return [(mass, filled) for filled, mass in law.items()]


def law_of(counts, words=WORDS, start=(K,) * N):
    """The law of uniformly chosen positions, so many at each step, each enforced."""
    law = {start: 1.0}
    for count in counts:
        after = {}
        for canvas, mass in law.items():
            unknown = [i for i in range(N) if canvas[i] == K]
            orders_ = list(permutations(unknown, min(count, len(unknown))))
            for order in orders_:
                for chance, filled in enforced(canvas, order, words):
                    after[filled] = after.get(filled, 0.0) + mass * chance / len(orders_)
        law = after
    return law


def drawn(strategy, rows=20_000, canvas=None, network=ORACLE):
    model = unmask.wrap(network, mask_id=K)
    canvas = canvas or Canvas.blank(rows, N)
    found = unmask.generate(model, canvas, strategy, seed=0).tolist()
    return [tuple(row) for row in found]


def planned(counts, **constraint):
    return presets.random_order(4).but(
        commit=commit.TopK(commit.Explicit(counts)),
        constraint=Constraint(feasible=AUTOMATON, **constraint),
    )


PLANS = [(1, 1, 1, 1), (2, 2), (4,), (3, 1), (1, 3), (1, 2, 1)]


@pytest.mark.parametrize("counts", PLANS)
def test_the_law_of_a_plan(counts):
    """False-fail rate 1e-4 a plan, on a fixed seed."""
    law = law_of(counts)
    assert sum(law.values()) == pytest.approx(1)
    assert set(law) == set(WORDS)
    assert min(law.values()) > 0
    found = drawn(planned(counts))
    assert set(found) <= set(WORDS)
    seen = [found.count(word) for word in WORDS]
    assert chi_square(seen, [law[word] for word in WORDS]) > 1e-4
    joint = joint_3_4()  # the control: the law of the network, cut to the words
    assert chi_square(seen, [joint[word] for word in WORDS]) < 1e-4


def test_prompts_between_are_read_and_those_around_are_not():
    part = Automaton(torch.tensor(TABLE), 0, [0, 1, 3], whole=False)
    strategy = planned((1, 1)).but(constraint=Constraint(feasible=part))
    rows = torch.tensor([[1, K, 2, K], [1, K, 0, K]]).repeat_interleave(500, 0)
    canvas = Canvas.infill(rows, rows == K)
    found = drawn(strategy, canvas=canvas)
    inner = {w for w in product(range(K), repeat=3) if accepts(TABLE, 0, [0, 1, 3], w)}
    assert {w[1:] for w in found[:500]} == {w for w in inner if w[1] == 2}
    assert {w[1:] for w in found[500:]} == {w for w in inner if w[1] == 0}


@settings(max_examples=60, deadline=None)
@given(st.data(), automata(), st.integers(2, 5), st.integers(1, 4), st.booleans())
def test_any_automaton_and_any_canvas(data, automaton, length, steps, likeliest):
    """Every row comes out accepted, or is refused before the network is asked."""
    transitions, start, accept = automaton
    table = [[*line, -1] for line in transitions]
    size = len(transitions[0])
    hook = Automaton(torch.tensor(table), start, accept)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
    given_ids = torch.randint(size, (4, length), generator=generator)
    editable = torch.rand(4, length, generator=generator) < 0.7
    canvas = Canvas.infill(given_ids, editable)
    fits = [
        any(
            all(e or a == b for a, b, e in zip(row, word, flags, strict=True))
            for word in product(range(size), repeat=length)
            if accepts(table, start, accept, word)
        )
        or not any(flags)
        for row, flags in zip(given_ids.tolist(), editable.tolist(), strict=True)
    ]
    asked = []

    def network(tokens):
        asked.append(1)
        return torch.randn(*tokens.shape, size + 1, generator=generator) * 3

    strategy = presets.confidence(steps).but(constraint=Constraint((), hook, likeliest))
    model = unmask.wrap(network, mask_id=size, vocab_size=size + 1)
    if not all(fits):
        asked.clear()
        with pytest.raises(CanvasError, match=f"of row {fits.index(False)} that it"):
            unmask.generate(model, canvas, strategy, seed=1)
        assert not asked
        return
    found = unmask.generate(model, canvas, strategy, seed=1).tolist()
    for row, flags in zip(found, editable.tolist(), strict=True):
        assert not any(flags) or accepts(table, start, accept, row)


# --- likeliest together ------------------------------------------------------------------------


def fixed(logits):
    """A network that says these logits (N,V) whatever it is shown."""
    return lambda tokens: logits[torch.arange(tokens.shape[1]) % N].expand(len(tokens), -1, -1)


def best_words(logits, counts_places, words):
    """Naively: of all words that agree with what is known, the largest product at the places."""
    canvas = (K,) * N
    for places in counts_places:
        p = [row[:K].double().log_softmax(-1) for row in logits]
        fits = [w for w in words if all(a in (K, b) for a, b in zip(canvas, w, strict=True))]
        best = max(fits, key=lambda w: math.fsum(float(p[i][w[i]]) for i in places))
        canvas = tuple(best[i] if i in places else canvas[i] for i in range(N))
    return canvas


@pytest.mark.parametrize("counts", PLANS)
def test_the_likeliest_words_are_those_of_enumeration(counts):
    generator = torch.Generator().manual_seed(0)
    strategy = planned(counts, likeliest=True).but(order=orders.LeftToRight())
    places, begun = [], 0
    for count in counts:
        places.append(range(begun, begun + count))
        begun += count
    seen = set()
    for _ in range(60):
        logits = torch.randn(N, K + 1, generator=generator) * 2
        (found,) = drawn(strategy, rows=1, network=fixed(logits))
        assert found == best_words(logits, places, WORDS)
        seen.add(found)
    assert len(seen) > 8


def test_the_likeliest_words_are_likelier_than_drawn_ones():
    """At one step of all positions the greedy way from left to right is beaten, never better."""
    generator, gained = torch.Generator().manual_seed(1), 0
    for _ in range(40):
        logits = torch.randn(N, K + 1, generator=generator) * 2
        model = unmask.wrap(fixed(logits), mask_id=K)
        sums = []
        for likeliest in (True, False):
            greedy = planned((4,), likeliest=likeliest).but(sampling=Sampling(temperature=0))
            record = unmask.run(model, Canvas.blank(1, N), greedy, seeds=[0])
            p = logits[:, :K].log_softmax(-1)
            sums.append(float(p.gather(1, record.tokens[0, :, None]).sum()))
        assert sums[0] >= sums[1] - 1e-5
        gained += sums[0] > sums[1] + 1e-5
    assert gained


def test_a_row_does_not_notice_its_batch():
    for likeliest in (False, True):
        strategy = presets.maskgit(2).but(constraint=Constraint((), AUTOMATON, likeliest))
        model = unmask.wrap(ORACLE, mask_id=K)
        full = unmask.run(model, Canvas.blank(6, N), strategy, seeds=range(6))
        for row in range(6):
            alone = unmask.run(model, Canvas.blank(1, N), strategy, seeds=[row])
            assert torch.equal(alone.tokens[0], full.tokens[row])
            assert torch.allclose(alone.logprob[0], full.logprob[row])


def test_required_and_forbidden_ids_are_known_to_it():
    required = torch.tensor([-1, -1, 1, -1])
    for likeliest in (False, True):
        strategy = planned((2, 2)).but(constraint=Constraint((0,), AUTOMATON, likeliest))
        found = drawn(strategy, canvas=Canvas.blank(300, N, required=required))
        assert set(found) <= {w for w in WORDS if w[2] == 1 and 0 not in w}
    strategy = planned((2, 2)).but(constraint=Constraint((2,), AUTOMATON))
    assert set(drawn(strategy, 300)) == {w for w in WORDS if 2 not in w}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(PLANS))
def test_legal_ids_are_known_to_it(seed, likeliest, counts):
    """Words of legal ids alone come out, and all can; without any the network is not asked."""
    generator = torch.Generator().manual_seed(seed)
    legal = torch.rand(N, K + 1, generator=generator) < 0.6
    legal[torch.arange(N), torch.randint(K, (N,), generator=generator)] = True
    words = [w for w in WORDS if all(legal[i, token] for i, token in enumerate(w))]
    strategy, asked = planned(counts, likeliest=likeliest), []

    def network(tokens):
        asked.append(1)
        return torch.randn(*tokens.shape, K + 1, generator=generator)

    canvas = Canvas.blank(60, N, legal=legal)
    model = unmask.wrap(network, mask_id=K, vocab_size=K + 1)
    if not words:
        with pytest.raises(CanvasError, match="with ids that are legal there"):
            unmask.generate(model, canvas, strategy, seed=0)
        assert not asked
        return
    found = [tuple(row) for row in unmask.generate(model, canvas, strategy, seed=0).tolist()]
    assert {*found} <= {*words}
    assert likeliest or len({*found}) >= min(2, len(words))


def test_chunks_of_the_head_change_nothing(monkeypatch):
    whole = {flag: drawn(planned((2, 2), likeliest=flag), 300) for flag in (False, True)}
    monkeypatch.setattr("unmask.decoding.propose.chunk_rows", lambda *_: 7)
    for flag, words in whole.items():
        assert drawn(planned((2, 2), likeliest=flag), 300) == words


# --- every preset ------------------------------------------------------------------------------

PADDED = [
    [*line[:3], 4 if accepted else -1, -1]
    for line, accepted in zip(TABLE, [1, 1, 0, 1], strict=True)
]
CLOSING = Automaton(torch.tensor([*PADDED, [-1, -1, -1, 4, -1]]), 0, [0, 1, 3, 4], whole=False)
"""Words of ids 0 to 2 that end anywhere with the id 3; 4 is the mask id."""


def ends_well(row):
    text = row[: row.index(3)] if 3 in row else row
    return accepts(TABLE, 0, [0, 1, 3], text) and set(row[len(text) :]) <= {3}


@pytest.mark.parametrize("name", presets.__all__)
def test_every_preset_is_valid_or_refused_before_the_work(name):
    preset, length = getattr(presets, name), 6
    asked, made, early = [], 0, True

    def network(tokens):
        asked.append(1)
        noise = torch.Generator().manual_seed(int(tokens.sum()))
        return torch.randn(*tokens.shape, 5, generator=noise) * 2

    model = unmask.wrap(network, mask_id=4, vocab_size=5)
    for options in variants(preset, length):
        for likeliest, ends in product([False, True], repeat=2):
            asked.clear()
            try:
                strategy = preset(**options)
                strategy = strategy.but(constraint=Constraint((), CLOSING, likeliest))
                if ends:
                    strategy = strategy.but(stopping=(*strategy.stopping, EndOfSequence(3)))
                found = unmask.generate(model, Canvas.blank(8, length), strategy, seed=0)
            except StrategyError:
                early &= not asked
                continue
            made += 1
            assert all(ends_well(row) for row in found.tolist()), options
    assert early, "refused when the network had been asked"
    refused = {"daedal", "diffusion_gemma", "llada21", "rho_eos"}
    assert made or name in refused, "refused with every option: say so above"


WRONG = {
    "the likeliest of a list": (
        lambda: Constraint(feasible=lambda *_: None, likeliest=True),
        "likeliest=True chooses among what an automaton allows",
    ),
    "likeliest 1": (lambda: Constraint((), AUTOMATON, 1), "likeliest=1: pass True or False"),
    "an end that does not close": (
        lambda: planned((4,)).but(stopping=[EndOfSequence(1)]),
        r"EndOfSequence\(1\) fills rows with 1 .*let the end lead to an accepted state",
    ),
    "credit": (
        lambda: presets.credit().but(constraint=Constraint((), AUTOMATON, True)),
        "the network's own probabilities, and Credit changes them",
    ),
    "another vocabulary": (
        lambda: drawn(planned((4,)).but(constraint=Constraint(feasible=CLOSING)), 2),
        "the automaton has 5 ids and the network 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(name):
    make, told = WRONG[name]
    with pytest.raises(StrategyError, match=told):
        make()


def test_a_canvas_that_is_too_short_is_told_the_shortest_length():
    three = Automaton(
        torch.tensor([[1, 1, 1, -1], [2] * 3 + [-1], [3] * 3 + [-1], [-1] * 4]), 0, [3]
    )
    strategy = planned((1, 1)).but(constraint=Constraint(feasible=three))
    told = r"of the 2 positions of row 0 that it reads, which takes 3 at least"
    with pytest.raises(CanvasError, match=told):
        drawn(strategy, canvas=Canvas.blank(1, 2))
    with pytest.raises(CanvasError, match="though it accepts some of 3"):
        drawn(planned((4,)).but(constraint=Constraint(feasible=three)), 1)
    nothing = Automaton(torch.tensor([[-1] * 4, [0] * 4]), 0, [1])
    with pytest.raises(CanvasError, match=r"of the 4 positions .* nor any other number"):
        drawn(planned((4,)).but(constraint=Constraint(feasible=nothing)), 1)
