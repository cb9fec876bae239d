"""Parts that hold tensors are equal to themselves made anew, and strategies with them."""

import copy
import pickle

import pytest
import torch

from unmask import Constraint, presets
from unmask.constraints import Automaton, Listed
from unmask.guidance import NullCondition

MAKE = {
    "listed": lambda ids=(1, 2): Listed(torch.tensor([ids]), 4),
    "automaton": lambda ids=(1, 0): Automaton(torch.tensor([ids, (0, 1)]), 0, [1]),
    "null": lambda ids=(1, 2): NullCondition({"a": torch.tensor(ids), "b": [0.0, 1]}),
}


@pytest.mark.parametrize("kind", MAKE)
def test_equal_values_are_equal(kind):
    make = MAKE[kind]
    one = make()
    for other in (make(), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert one == other
        assert hash(one) == hash(other)
    assert one != make((0, 0))
    assert one != 3


def test_a_range_of_accepted_states_is_that_list():
    table = torch.zeros(2, 3, dtype=torch.int64)
    assert Automaton(table, 0, range(2)) == Automaton(table, 0, [0, 1])


def test_strategies_with_a_feasibility_hook_are_equal_by_value():
    made = [
        presets.random_order(2).but(constraint=Constraint(feasible=MAKE["listed"]()))
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert pickle.loads(pickle.dumps(made[0])) == made[1]
