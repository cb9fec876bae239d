"""Bad input of objectives is one error that names the argument, before the network is called."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.network import Network

from unmask import objectives
from unmask.errors import UnmaskError
from unmask.objectives.corruption import offset_times, slot_times
from unmask.objectives.inclusion import bernoulli, bernoulli_by_count

VOCAB, MASK, FORBIDDEN = 7, 6, 5
NAN, INF = float("nan"), float("inf")


class Counted(Network):
    """A network that knows how often it was asked."""

    vocab_size, mask_id, forbidden = VOCAB, MASK, (FORBIDDEN,)

    def __init__(self):
        self.calls = 0

    def hidden(self, tokens, *, valid, condition=None):
        self.calls += 1
        return torch.zeros(*tokens.shape, VOCAB)


class Maskless(Counted):
    mask_id = None


def good(rows, length):
    """Return arguments that every objective takes."""
    return {
        "tokens": torch.arange(rows * length).view(rows, length) % FORBIDDEN,
        "maskable": torch.ones(rows, length, dtype=torch.bool),
        "seed": 3,
        "time": torch.linspace(0.1, 0.9, rows, dtype=torch.float64),
        "valid": torch.ones(rows, length, dtype=torch.bool),
        "condition": torch.zeros(rows, dtype=torch.int64),
    }


def with_id(number):
    def change(batch):
        tokens = batch["tokens"].clone()
        tokens[-1, -1] = number
        return tokens

    return change


# what is wrong: (argument, its value or a function of the good batch, words of the message)
CASES = {
    "tokens as a list": ("tokens", lambda b: b["tokens"].tolist(), "tokens is a list"),
    "tokens as an array": ("tokens", lambda b: b["tokens"].numpy(), "tokens is a ndarray"),
    "tokens of floats": ("tokens", lambda b: b["tokens"].double(), "tokens is torch.float64"),
    "tokens of bools": ("tokens", lambda b: b["tokens"] > 0, "tokens is torch.bool"),
    "tokens of one row": ("tokens", lambda b: b["tokens"][0], "tokens is torch.int64 of shape"),
    "tokens of three axes": ("tokens", lambda b: b["tokens"][None], "tokens is torch.int64"),
    "no rows": ("tokens", lambda b: b["tokens"][:0], "with a row and a position or more"),
    "no positions": ("tokens", lambda b: b["tokens"][:, :0], "with a row and a position or more"),
    "no tokens": ("tokens", lambda b: None, "tokens is a NoneType"),
    "the mask id in the data": ("tokens", with_id(MASK), "id 6 at row"),
    "a forbidden id in the data": ("tokens", with_id(FORBIDDEN), "id 5 at row"),
    "an id above the vocabulary": ("tokens", with_id(VOCAB), "outside the vocabulary of 7"),
    "a negative id": ("tokens", with_id(-100), "id -100 at row"),
    "maskable of integers": ("maskable", lambda b: b["maskable"].long(), "maskable is torch.int64"),
    "maskable of one row": ("maskable", lambda b: b["maskable"][0], "maskable is torch.bool of"),
    "maskable too wide": ("maskable", lambda b: b["maskable"].repeat(1, 2), "maskable is torch"),
    "maskable as a list": ("maskable", lambda b: b["maskable"].tolist(), "maskable is a list"),
    "maskable elsewhere": ("maskable", lambda b: b["maskable"].to("meta"), "on meta: pass"),
    "maskable of None": ("maskable", lambda b: None, "maskable is a NoneType"),
    "a seed of floats": ("seed", lambda b: 0.5, "seed=0.5"),
    "a seed in words": ("seed", lambda b: "0", "seed='0'"),
    "a seed of True": ("seed", lambda b: True, "seed=True"),
    "a negative seed": ("seed", lambda b: -1, "seed=-1"),
    "a seed beyond 2**63": ("seed", lambda b: 2**63, "seed=9223372036854775808"),
    "no seed": ("seed", lambda b: None, "seed=None"),
    "seeds as a list": ("seed", lambda b: [1] * len(b["tokens"]), "or torch.tensor of"),
    "seeds of floats": ("seed", lambda b: torch.ones(len(b["tokens"])), "seed is torch.float32"),
    "seeds of bools": ("seed", lambda b: b["maskable"][:, 0], "seed is torch.bool"),
    "too many seeds": ("seed", lambda b: torch.arange(len(b["tokens"]) + 1), "seed is torch.int64"),
    "negative seeds": ("seed", lambda b: -1 - torch.arange(len(b["tokens"])), "negative number"),
    "a time for all": ("time", lambda b: 0.5, "time is a float"),
    "times of integers": ("time", lambda b: b["time"].long(), "time is torch.int64"),
    "too many times": ("time", lambda b: b["time"].repeat(2), "time is torch.float64 of shape"),
    "times as a list": ("time", lambda b: b["time"].tolist(), "time is a list"),
    "a time above 1": ("time", lambda b: b["time"] + 1, "pass times in [0, 1]"),
    "a time below 0": ("time", lambda b: b["time"] - 1, "pass times in [0, 1]"),
    "a time of NaN": ("time", lambda b: b["time"] * NAN, "pass times in [0, 1]"),
    "valid of integers": ("valid", lambda b: b["valid"].long(), "valid is torch.int64"),
    "valid too narrow": ("valid", lambda b: b["valid"][:, :1].repeat(1, 99), "valid is torch.bool"),
    "valid as a list": ("valid", lambda b: b["valid"].tolist(), "valid is a list"),
    "maskable padding": ("valid", lambda b: ~b["valid"], "which is padding"),
    "a condition of other rows": ("condition", lambda b: torch.zeros(99), "condition has shape"),
    "a condition of one number": ("condition", lambda b: torch.tensor(1), "condition has shape ()"),
    "a schedule of no name": ("schedule", lambda b: "cosin", "did you mean 'cosine'"),
    "a schedule of 3": ("schedule", lambda b: 3, "unknown schedule 3"),
}
OPTIONS = {  # of some objectives only
    "a share above 1": (objectives.count, {"self_condition": 1.5}, "self_condition=1.5"),
    "a share of NaN": (objectives.bert, {"self_condition": NAN}, "self_condition=nan"),
    "a share in words": (objectives.count, {"self_condition": "half"}, "self_condition='half'"),
    "no self-conditioning": (objectives.count, {"self_condition": 0.5}, "no SelfConditioning"),
    "epsilon of 1": (objectives.bernoulli, {"epsilon": 1.0}, "epsilon=1.0"),
    "epsilon of NaN": (objectives.bernoulli, {"epsilon": NAN}, "epsilon=nan"),
    "epsilon in words": (objectives.bernoulli, {"epsilon": "0"}, "epsilon='0'"),
    "smoothing of 1": (objectives.masked_mean, {"label_smoothing": 1.0}, "label_smoothing=1.0"),
    "smoothing of None": (objectives.masked_mean, {"label_smoothing": None}, "label_smoothing"),
    "noise by a number": (objectives.bert, {"noise": 0.5}, "noise=0.5"),
    "noise not made": (objectives.bert, {"noise": objectives.BertNoise}, "noise=<class"),
}
OBJECTIVES = [
    objectives.count,
    objectives.complementary,
    bernoulli,
    bernoulli_by_count,
    objectives.masked_mean,
    objectives.bert,
]


def refused(call, words, network):
    with pytest.raises(UnmaskError) as told:
        call()
    assert words in str(told.value)
    assert ": " in str(told.value)
    assert network.calls == 0


@pytest.mark.parametrize("what", CASES)
@settings(max_examples=5, deadline=None)
@given(rows=st.integers(1, 3), length=st.integers(1, 4))
def test_what_an_objective_cannot_use(what, rows, length):
    name, change, words = CASES[what]
    batch = good(rows, length)
    for objective in OBJECTIVES:
        network = Counted()
        objective(network, **batch)
        assert network.calls > 0
        network.calls = 0
        refused(partial(objective, network, **(batch | {name: change(batch)})), words, network)


@pytest.mark.parametrize("what", OPTIONS)
def test_options_out_of_range(what):
    objective, options, words = OPTIONS[what]
    network = Counted()
    refused(partial(objective, network, **good(2, 3), **options), words, network)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_network_that_is_not_wrapped(objective):
    net = torch.nn.Embedding(VOCAB, VOCAB)
    net.calls = 0
    refused(partial(objective, net, **good(2, 3)), "is not a denoiser: wrap it first", net)
    network = Maskless()
    refused(partial(objective, network, **good(2, 3)), "no mask id", network)


def corrupted(network):
    batch = good(2, 3)
    return objectives.corrupt_by_count(network, batch["tokens"], batch["maskable"], 0)


BY_HAND = {
    "a batch of tokens": (
        lambda net, b: objectives.read_corrupted(net, b.tokens),
        "batch is torch.int64",
    ),
    "a reading of another batch": (
        lambda net, b: objectives.evaluate(
            b, objectives.Reading(torch.ones(9, 7), torch.ones(9)), bound=True
        ),
        "hidden positions",
    ),
    "a reading of numbers": (lambda net, b: objectives.evaluate(b, 0.5, bound=True), "reading is"),
    "an evaluation of tokens": (
        lambda net, b: objectives.evaluate(b.tokens, None, bound=True),
        "batch is",
    ),
    "masked of integers": (
        lambda net, b: objectives.Corrupted(
            b.tokens, b.shown, b.masked.long(), b.weight, b.maskable, b.seed
        ),
        "masked is torch.int64",
    ),
    "a weight for all": (
        lambda net, b: objectives.Corrupted(b.tokens, b.shown, b.masked, 1.0, b.maskable, b.seed),
        "weight is a float",
    ),
    "a target that is the mask id": (
        lambda net, b: objectives.read_corrupted(
            net, objectives.Corrupted(b.shown, b.shown, b.masked, b.weight, b.maskable, b.seed)
        ),
        "is the mask id",
    ),
    "an input outside the vocabulary": (
        lambda net, b: objectives.read_corrupted(
            net, objectives.Corrupted(b.tokens, b.shown + 9, b.masked, b.weight, b.maskable, b.seed)
        ),
        "outside the vocabulary",
    ),
    "smoothing of a reading": (
        lambda net, b: objectives.read_corrupted(net, b, label_smoothing=2),
        "label_smoothing=2",
    ),
    "a fill at a temperature below 0": (
        lambda net, b: objectives.fill(b, None, -1.0),
        "temperature=-1.0",
    ),
    "a fill at temperatures of other rows": (
        lambda net, b: objectives.fill(b, None, torch.ones(5)),
        "temperature=tensor",
    ),
    "a fill in words": (lambda net, b: objectives.fill(b, None, "hot"), "temperature='hot'"),
    "a critic that is none": (
        lambda net, b: objectives.critic_loss("judge", b, b.tokens),
        "judge='judge'",
    ),
    "a critic not made": (
        lambda net, b: objectives.critic(
            net, Counted, **{"tokens": b.tokens, "seed": 0, "maskable": b.maskable}
        ),
        "judge=<class",
    ),
    "labels of no name": (
        lambda net, b: objectives.critic_loss(net.logits, b, b.tokens, labels="maskd"),
        "did you mean 'masked'",
    ),
    "filled by another batch": (
        lambda net, b: objectives.critic_loss(net.logits, b, b.tokens[:1]),
        "filled is torch.int64",
    ),
    "a critic of one number": (
        lambda net, b: objectives.critic_loss(
            lambda tokens, *, valid, condition: torch.ones(1), b, b.tokens
        ),
        "the critic returned torch.float32 of shape (1,)",
    ),
    "a share to drop in words": (
        lambda net, b: objectives.drop_condition(b.seed, 0, "half"),
        "share='half'",
    ),
    "a share of NaN to drop": (lambda net, b: objectives.drop_condition(b.seed, 0, NAN), "share"),
    "a condition of one number": (
        lambda net, b: objectives.drop_condition(torch.tensor(3), 0, 0.5),
        "condition holds torch.int64",
    ),
    "a condition of names": (
        lambda net, b: objectives.drop_condition({"a": ["x"]}, 0, 0.5, {"a": 0}),
        "condition holds a list",
    ),
    "a null in words": (
        lambda net, b: objectives.drop_condition(b.seed, 0, 0.5, "none"),
        "null='none'",
    ),
    "noise that keeps in words": (lambda net, b: objectives.BertNoise(keep="all"), "keep='all'"),
    "noise that replaces NaN": (lambda net, b: objectives.BertNoise(replace=NAN), "replace=nan"),
    "no slots": (lambda net, b: slot_times(b.seed, b.seed % 1, 0), "slots=0"),
    "slots of floats": (lambda net, b: slot_times(b.seed, b.weight, 4), "slot=tensor"),
    "a slot of one number": (lambda net, b: offset_times(0, 1, 4), "slot=1"),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_parts_called_by_hand(what):
    call, words = BY_HAND[what]
    network = Counted()
    refused(partial(call, network, corrupted(network)), words, network)


def test_integers_of_any_kind_are_tokens_and_seeds():
    batch, network = good(2, 3), Counted()
    wanted = objectives.count(network, **batch)
    for kind in (torch.int32, torch.uint8):
        found = objectives.count(network, **(batch | {"tokens": batch["tokens"].to(kind)}))
        assert torch.equal(found.per_example, wanted.per_example)
    found = objectives.count(network, **(batch | {"seed": np.int64(3)}))
    assert torch.equal(found.per_example, wanted.per_example)


def test_rows_longer_than_the_network_takes():
    class Short(Counted):
        @property
        def spec(self):
            return replace(super().spec, max_length=3)

    net = Short()
    for objective in (objectives.count, objectives.complementary, objectives.masked_mean):
        with pytest.raises(UnmaskError, match="rows have 4 positions, and the network takes 3"):
            objective(net, **good(2, 4))
    assert net.calls == 0
