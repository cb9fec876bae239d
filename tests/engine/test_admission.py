"""What admission and cancelling cost: rows that are together are taken and joined once."""

from collections import Counter

import pytest
import torch

from unmask import presets, wrap
from unmask.core.state import State
from unmask.decoding import Canvas
from unmask.engine import Engine

MASK, VOCAB = 5, 6


def flat(tokens):
    return torch.zeros(*tokens.shape, VOCAB)


@pytest.fixture
def calls(monkeypatch):
    """How often states were taken apart and joined."""
    found, take, concat = Counter(), State.take, State.concat

    def taken(state, rows):
        found["take"] += 1
        return take(state, rows)

    def joined(states):
        found["concat"] += 1
        return concat(states)

    monkeypatch.setattr(State, "take", taken)
    monkeypatch.setattr(State, "concat", staticmethod(joined))
    return found


def opened(strategies):
    engine = Engine(wrap(flat, mask_id=MASK, vocab_size=VOCAB))
    for seed, strategy in enumerate(strategies):
        engine.submit(Canvas.blank(1, 4 + seed), strategy, [seed])
    return engine


@pytest.mark.parametrize("number", [2, 9])
def test_rows_that_come_one_by_one_are_joined_at_once(calls, number):
    engine = opened([presets.llada(4) for _ in range(number)])
    (event,) = engine.step()
    assert event.ids.tolist() == [*range(number)]
    assert calls["concat"] == 1


def test_rows_of_several_strategies_are_joined_once_for_each(calls):
    engine = opened([presets.llada(4), presets.maskgit(3)] * 3)
    events = engine.step()
    assert [event.ids.tolist() for event in events] == [[0, 2, 4], [1, 3, 5]]
    assert calls["concat"] == 2


def test_what_is_cancelled_moves_only_rows_beside_it(calls):
    engine = opened([presets.llada(4), presets.llada(4), presets.maskgit(4)])
    engine.step()
    calls.clear()
    engine.cancel([])
    engine.cancel([2, 7])
    assert not calls["take"]
    engine.cancel([0])
    assert calls["take"] == 1
    assert engine.unfinished.tolist() == [1]
