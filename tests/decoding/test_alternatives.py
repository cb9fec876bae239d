"""`Strategy.alternatives`: the likeliest ids of each position, beside the one that is drawn."""

import inspect
import math
from itertools import product

import numpy as np
import pytest
import torch
from tests.conformance.catalogue import REQUIRED
from tests.conformance.toys import FORBIDDEN, MASK, VOCAB, Toy
from tests.constraints.test_feasible import accepts
from tests.laws.cases import Told
from tests.laws.world import UNKNOWN, conditionals

import unmask
from unmask import Canvas, Constraint, Sampling, Strategy, orders, presets
from unmask.commit import Explicit, TopK
from unmask.constraints import Automaton, Listed
from unmask.errors import StrategyError
from unmask.sampling import likeliest_ids

NEVER = -1
LENGTH = 8


def naive(logits, count):
    """[(id, log p)] of one position, the best first, the lower id first among equals."""
    total = math.log(sum(math.exp(x) for x in logits if x > -math.inf))
    legal = [(-x, i) for i, x in enumerate(logits) if x > -math.inf]
    return [(i, -x - total) for x, i in sorted(legal)[:count]]


def told(alternatives, row, position):
    """[(id, log p)] of one position, without what fills up."""
    ids, values = (each[row, position].tolist() for each in alternatives)
    assert all(v == -math.inf for i, v in zip(ids, values, strict=True) if i == NEVER)
    return [(i, v) for i, v in zip(ids, values, strict=True) if i != NEVER]


def agree(found, wanted):
    assert [i for i, _ in found] == [i for i, _ in wanted]
    assert [v for _, v in found] == pytest.approx([v for _, v in wanted], abs=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 40, 60])
def test_the_likeliest_ids_are_those_of_a_plain_sort(count):
    """With ties and illegal ids, and more places than ids."""
    random = np.random.default_rng(count)
    logits = torch.from_numpy(random.integers(-4, 4, (50, 40)) / 2).float()
    logits[torch.from_numpy(random.random((50, 40)) < 0.4)] = -torch.inf
    logits[3] = 1.0
    logits[4, 1:] = -torch.inf
    given = logits.clone()
    ids, values = likeliest_ids(logits, count)
    assert torch.equal(logits, given)
    assert ids.shape == values.shape == (50, count)
    for row, line in enumerate(logits.tolist()):
        wanted = sorted((-x, i) for i, x in enumerate(line) if x > -math.inf)[:count]
        fill = count - len(wanted)
        assert ids[row].tolist() == [i for _, i in wanted] + [NEVER] * fill
        assert values[row].tolist() == [-x for x, _ in wanted] + [-math.inf] * fill


def steps_of(strategy, rows=3, network=None, canvas=None):
    canvas = canvas or Canvas.blank(rows, 4)
    return list(unmask.stream(network or Told(), canvas, strategy, seed=5))


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(0.3, top_k=1), Sampling(gumbel=True, bias={1: 5.0})]
)
@pytest.mark.parametrize("count", [2, 3])
def test_they_are_the_models_own_at_temperature_1(sampling, count):
    strategy = presets.maskgit(3).but(sampling=sampling, alternatives=count)
    shown = [(UNKNOWN,) * 4] * 3
    for info in steps_of(strategy):
        for row, canvas in enumerate(shown):
            logits = np.log(conditionals(canvas))
            for i in range(4):
                if canvas[i] == UNKNOWN:
                    agree(told(info.proposal.alternatives, row, i), naive(logits[i], count))
        shown = [tuple(line) for line in info.tokens.masked_fill(info.masked, UNKNOWN).tolist()]


def made(name):
    known = inspect.signature(getattr(presets, name)).parameters
    own = {key: REQUIRED[key](LENGTH)[0] for key in known if key in REQUIRED}
    own |= {"end_id": 3} if "end_id" in known else {}
    own |= {"order": "random"} if name == "esm3" else {}
    return getattr(presets, name)(**own)


@pytest.mark.parametrize("name", presets.__all__)
def test_with_every_preset_they_hold_what_is_committed_and_change_no_token(name):
    strategy = made(name)
    if strategy.growth is not None:
        with pytest.raises(StrategyError, match="alternatives= are of positions before"):
            strategy.but(alternatives=3)
        return
    canvas = Canvas.blank(3, LENGTH)
    asked = strategy.but(alternatives=VOCAB)
    plain, infos = (steps_of(s, network=Toy(), canvas=canvas) for s in (strategy, asked))
    assert len(plain) == len(infos)
    for one, other in zip(plain, infos, strict=True):
        assert one.proposal.alternatives is None
        assert torch.equal(one.tokens, other.tokens)
        assert torch.equal(one.state.logprob, other.state.logprob)
        for row, i in (other.committed | other.edited).nonzero().tolist():
            found = dict(told(other.proposal.alternatives, row, i))
            assert not {MASK, FORBIDDEN} & found.keys()
            token, logprob = int(other.tokens[row, i]), float(other.state.logprob[row, i])
            assert found[token] == pytest.approx(logprob, abs=1e-4)
            assert sum(map(math.exp, found.values())) == pytest.approx(1, abs=1e-4)


TABLE = [[1, 2, 0, -1], [3, -1, 0, -1], [-1, -1, 0, -1], [1, 2, -1, -1]]
WORDS = [word for word in product(range(3), repeat=4) if accepts(TABLE, 0, [0, 1, 3], word)]
HOOKS = {
    "automaton": Automaton(torch.tensor(TABLE), 0, [0, 1, 3]),
    "listed": Listed(torch.tensor(WORDS), 4),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_under_a_hook_they_are_those_that_it_allows(hook):
    """As the record's log-probability is: of the model's distribution, cut to these."""
    strategy = Strategy(
        TopK(Explicit([1] * 4)), orders.LeftToRight(),
        constraint=Constraint(feasible=HOOKS[hook]), alternatives=3,
    )  # fmt: skip
    for i, info in enumerate(steps_of(strategy, rows=20)):
        for row in range(20):
            before = tuple(info.tokens[row, :i].tolist())
            may = {word[i] for word in WORDS if word[:i] == before}
            p = np.log(conditionals((*before, *(UNKNOWN,) * (4 - i)))[i])
            wanted = naive([x if t in may else -math.inf for t, x in enumerate(p)], 3)
            agree(told(info.proposal.alternatives, row, i), wanted)


def test_those_chosen_together_are_measured_by_the_whole_law():
    strategy = Strategy(
        TopK(Explicit([4])), orders.LeftToRight(),
        constraint=Constraint(feasible=HOOKS["automaton"], likeliest=True), alternatives=3,
    )  # fmt: skip
    (info,) = steps_of(strategy, rows=1)
    for i, line in enumerate(np.log(conditionals((UNKNOWN,) * 4))):
        agree(told(info.proposal.alternatives, 0, i), naive(line, 3))


def test_strategies_that_ask_for_several_numbers_give_the_same_beside_each_other():
    network, canvas = Toy(), Canvas.blank(2, LENGTH)
    engine = unmask.Engine(network)
    counts = {}
    for count in (0, 2, 4):
        ids = engine.submit(canvas, presets.confidence(3).but(alternatives=count), [7, 8])
        counts |= dict.fromkeys(ids.tolist(), count)
    tokens = {}
    while len(engine.unfinished):
        for event in engine.step():
            found = event.info.proposal.alternatives
            [count] = {counts[row] for row in event.ids.tolist()}
            assert (0 if found is None else found.tokens.shape[2]) == count
            tokens |= {row: record.tokens[0].tolist() for row, record in event.results()}
    assert len({str(tokens[row]) for row in tokens}) == 2


@pytest.mark.parametrize("count", [-1, 1.0, True, None, "3"])
def test_what_is_no_number_of_ids_is_refused(count):
    with pytest.raises(StrategyError, match="alternatives="):
        presets.confidence(3).but(alternatives=count)
