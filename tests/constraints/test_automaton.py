"""Automata over classes of ids: closing, lengths, JSON, and rows that are read in part."""

import json
from itertools import product

import pytest
import torch
from hypothesis import given
from tests.constraints.test_feasible import accepts, automata

from unmask import Constraint, Strategy, presets
from unmask.constraints import Automaton
from unmask.constraints.automaton import moves_of
from unmask.errors import StrategyError

CPU = torch.device("cpu")
CLASSES = Automaton(torch.tensor([[1, -1], [1, 0]]), 0, [1], torch.tensor([0, -1, 1, 0]), False)


@given(automata())
def test_lengths_of_what_is_accepted(automaton):
    transitions, start, accept = automaton
    moves = moves_of(Automaton(torch.tensor(transitions), start, accept), (), CPU)
    longest = len(transitions) + 1
    lengths = [
        any(
            accepts(transitions, start, accept, word)
            for word in product(range(len(transitions[0])), repeat=n)
        )
        for n in range(longest + 1)
    ]
    assert moves.reached(longest).tolist() == lengths
    assert moves.shortest() == (lengths.index(True) if any(lengths) else None)


def test_ids_that_are_barred_lead_nowhere():
    moves = moves_of(CLASSES, (0,), CPU)
    assert moves.reached(1).tolist() == [False, True]  # by id 3, of the same class
    assert moves_of(CLASSES, (0, 3), CPU).shortest() is None


def test_what_a_part_of_a_row_is():
    editable = torch.tensor([[False, True, False, True, False], [False] * 5])
    valid = torch.ones_like(editable)
    inner = [[False, True, True, True, False], [False] * 5]
    assert CLASSES.reads(editable, valid).tolist() == inner
    whole = Automaton(CLASSES.transitions, 0, [1], CLASSES.classes)
    assert whole.reads(editable, valid).tolist() == valid.tolist()


def test_an_end_that_closes():
    ended = Automaton(torch.tensor([[0, 1, -1], [-1, -1, 1]]), 0, [0, 1])
    assert ended.closes(1, 2)
    assert not ended.closes(1, 1)  # which may not stand behind itself
    assert ended.closes(0, 0)  # what is filled is accepted, whatever else could have stood there
    assert not ended.closes(1, 9)
    refused = Automaton(torch.tensor([[0, 1, -1], [-1, -1, 1]]), 0, [0])
    assert not refused.closes(1, 2)


@pytest.mark.parametrize("hook", [CLASSES, Automaton.avoiding([[1, 1], [2]], 4)])
def test_an_automaton_is_written_as_json(hook):
    strategy = presets.random_order(2).but(constraint=Constraint((1,), hook, likeliest=True))
    written = json.loads(json.dumps(strategy.to_dict()))
    assert Strategy.from_dict(written) == strategy
    written["constraint"]["feasible"]["transitions"][0][0] = 99
    with pytest.raises(StrategyError, match="no automaton: pass what"):
        Strategy.from_dict(written)
