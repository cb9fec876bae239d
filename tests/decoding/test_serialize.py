"""Strategies as data: equal, hashable, pickled, written as JSON and read again."""

import inspect
import json
import pickle

import pytest
import torch
from tests.conformance.toys import Toy

import unmask
from unmask import Canvas, Groups, Guidance, Sampling, Strategy, commit, orders, presets
from unmask.constraints import Constraint
from unmask.errors import StrategyError
from unmask.guidance import HidePrompt, LinearWeight
from unmask.stopping import Budget, EndOfSequence

GIVEN = {"height": 2, "width": 4, "delimiters": [3], "end_id": 3}
NAMES = [
    n for n in presets.__all__ if "critic" not in inspect.signature(getattr(presets, n)).parameters
]


def made(name):
    make = getattr(presets, name)
    known = inspect.signature(make).parameters
    return make(**{key: value for key, value in GIVEN.items() if key in known})


MORE = {
    "many parts": presets.llada(4, block=4).but(
        guidance=Guidance(LinearWeight(2.0), null=HidePrompt()),
        constraint=Constraint(forbidden=[1, 2]),
        stopping=[EndOfSequence(3), Budget(9)],
    ),
    "a plan for each group": Strategy(
        commit.TopK(commit.ByGroup([commit.Even(2), commit.Explicit([1, 3])])),
        orders.ChoiceNoise(orders.Probability("after"), 4.5),
        Sampling(0.5, top_p=0.9),
        groups=Groups.listed([0, 0, 0, 0, 1, 1, 1, 1]),
    ),
}
ALL = {**{name: made(name) for name in NAMES}, **MORE}


@pytest.mark.parametrize("name", ALL)
def test_a_strategy_comes_back_from_json_and_from_a_pickle(name):
    strategy = ALL[name]
    text = json.dumps(strategy.to_dict())
    for again in (Strategy.from_dict(json.loads(text)), pickle.loads(pickle.dumps(strategy))):
        assert again == strategy
        assert hash(again) == hash(strategy)
        assert again.name == strategy.name
    canvas = Canvas.blank(2, 8)
    if strategy.guidance is None:
        one, other = (unmask.generate(Toy(), canvas, s, seed=1) for s in (strategy, again))
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_made_anew_it_is_equal_and_changed_it_is_not(name):
    one, other = made(name), made(name)
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != one.but(stopping=[*one.stopping, Budget(1000)])
    assert one != one.but(sampling=Sampling(0.123))


def test_the_whole_vocabulary_is_not_one_id():
    """1.0 == 1 in Python: the fraction that keeps all must not equal the count that keeps one."""
    one, every = (presets.random_order(4).but(sampling=Sampling(top_k=k)) for k in (1, 1.0))
    assert one != every
    assert every == presets.random_order(4)
    canvas = Canvas.blank(4, 8)
    assert torch.equal(
        unmask.generate(Toy(), canvas, every, seed=1),
        unmask.generate(Toy(), canvas, presets.random_order(4), seed=1),
    )


def test_used_strategies_are_written_as_new_ones():
    """What a generation works out of a strategy is no part of it."""
    strategy = presets.maskgit(3)
    before = strategy.to_dict(), hash(strategy)
    unmask.generate(Toy(), Canvas.blank(2, 8), strategy, seed=1)
    assert (strategy.to_dict(), hash(strategy)) == before
    assert strategy == presets.maskgit(3) == pickle.loads(pickle.dumps(strategy))


def own_order(state, proposal):
    return proposal.logprob


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"order": own_order}, r"order\.function=.*cannot be written as JSON.*pickle it"),
        ({"sampling": Sampling(lambda r: r)}, r"sampling\.temperature=.*cannot be written"),
        ({"commit": commit.TopK(lambda t: 1 - t, 4)}, r"a schedule of your own"),
    ],
)
def test_what_is_the_users_own_is_named(part, words):
    with pytest.raises(StrategyError, match=words):
        presets.confidence(4).but(**part).to_dict()


def test_an_order_of_the_users_own_can_be_pickled():
    strategy = presets.confidence(4).but(order=own_order)
    assert pickle.loads(pickle.dumps(strategy)) == strategy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("commit"), "'commit' is missing"),
        (lambda data: data.update(ordr=None), "no part 'ordr': did you mean 'order'"),
        (lambda data: data["commit"].update(part="TopKay"), "TopKay.*did you mean 'TopK'"),
        (lambda data: data["order"].update(chose="after"), "chose"),
        (lambda data: data["sampling"].update(temperature=-1), "temperature=-1: pass"),
    ],
)
def test_what_is_no_strategy_is_refused(change, words):
    data = presets.confidence(4).to_dict()
    change(data)
    with pytest.raises(StrategyError, match=words):
        Strategy.from_dict(data)


def test_a_strategy_says_what_it_is_made_of_and_not_what_all_are():
    assert repr(presets.random_order(3, schedule="cosine")) == (
        "Strategy("
        "commit=TopK(plan=Scheduled(schedule=Schedule(name='cosine'), steps=3, lift=0.0)), "
        "order=Random(), name='random_order')"
    )


@pytest.mark.parametrize("exponent", [1 / 3, 2.0, 0.5, 1e-3, 123456.789])
def test_a_power_of_any_exponent_comes_back(exponent):
    strategy = presets.random_order(4, schedule=unmask.schedules.power(exponent))
    again = unmask.Strategy.from_dict(json.loads(json.dumps(strategy.to_dict())))
    assert again == strategy


def test_a_null_condition_is_compared_by_value():
    def made(null):
        return presets.random_order(4).but(guidance=unmask.Guidance(2.0, null=null))

    for null, other in (({"cls": 9}, {"cls": 8}), (torch.arange(3), torch.arange(3.0))):
        again = null.clone() if isinstance(null, torch.Tensor) else dict(null)
        assert made(null) == made(again)
        assert hash(made(null)) == hash(made(again))
        assert made(null) != made(other)
    assert made({"a": 1}) != made({"b": 1})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "None is not a dict"),
        ([1], r"\[1\] is not a dict"),
        ({"commit": {"part": ["x"]}, "order": {"part": "Random"}}, r"commit is the part \['x'\]"),
    ],
)
def test_what_no_strategy_wrote_is_refused(data, words):
    with pytest.raises(StrategyError, match=words):
        Strategy.from_dict(data)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"stopping": None}, r"stopping holds None.*or \[\] for none"),
        ({"stopping": 5}, "stopping holds 5"),
        ({"name": 5}, "name=5: pass a string"),
    ],
)
def test_parts_of_another_kind_are_refused(part, words):
    with pytest.raises(StrategyError, match=words):
        presets.random_order(4).but(**part)
