"""Joining and splitting states: each row goes on as it would have alone, or it is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, flat
from tests.engine.networks import Told

import unmask
from unmask import Canvas, Groups, done, finish, init, presets, step
from unmask.core.state import State
from unmask.errors import CanvasError, StrategyError
from unmask.guidance import Guidance, HidePrompt

NET = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)
PLAN = presets.random_order(4)


def begin(seed, strategy=PLAN, network=NET, length=4, **of_rows):
    return init(network, Canvas.blank(1, length, **of_rows), strategy, [seed])


def tokens(state, strategy=PLAN, network=NET):
    while not done(state):
        state = step(state, network, strategy).state
    return finish(state).tokens.tolist()


def only(id):
    table = torch.zeros(4, VOCAB, dtype=torch.bool)
    table[:, id] = True
    return table


OF_ROWS = {
    "required": {"required": torch.tensor([3, 3, 3, 3])},
    "legal": {"legal": only(3)},
    "legal of each row": {"legal": only(3)[None]},
}


@pytest.mark.parametrize("of_rows", OF_ROWS)
@pytest.mark.parametrize("lengths", [(4, 4), (7, 4)])
@pytest.mark.parametrize("given_first", [True, False])
def test_what_only_some_states_have_is_kept(of_rows, lengths, given_first):
    free, given = begin(1, length=lengths[0]), begin(2, **OF_ROWS[of_rows])
    states = [given, free] if given_first else [free, given]
    joined = tokens(State.concat(states))
    for state, row in zip(states, joined, strict=True):
        assert row[: state.tokens.shape[1]] == tokens(state)[0]
    assert [3, 3, 3, 3] in [row[:4] for row in joined]


def test_a_target_of_some_rows_binds_these_alone():
    free, given = begin(1), begin(2)
    given = replace(given, target=torch.full((1, 4), 3))
    assert tokens(State.concat([free, given])) == [*tokens(free), [3, 3, 3, 3]]


def test_counts_are_exact_only_where_they_are_in_every_state():
    states = [begin(1), begin(2)]
    assert State.concat(states).exact_counts
    for at in (0, 1):
        some = [replace(s, exact_counts=i == at) for i, s in enumerate(states)]
        assert not State.concat(some).exact_counts


REFUSED = {
    "nothing": (lambda: [], StrategyError, "no state to join: pass one or more"),
    "groups": (
        lambda: [begin(1), begin(2, PLAN.but(groups=Groups.blocks(2)))],
        StrategyError,
        "states 0 and 1 differ in their .*step these apart",
    ),
    "plan": (
        lambda: [begin(1), begin(2), begin(3, presets.random_order(2))],
        StrategyError,
        "states 0 and 2 differ in their strategy",
    ),
    "readings": (
        lambda: [begin(1), begin(2, PLAN.but(guidance=Guidance(1.0, null=HidePrompt())))],
        StrategyError,
        "differ in their strategy",
    ),
    "histories": (
        lambda: [begin(1, presets.threshold(block=None)), begin(2, presets.klass(block=None))],
        StrategyError,
        "differ in their strategy",
    ),
    "network": (
        lambda: [begin(1), begin(2, network=unmask.wrap(flat, mask_id=4, vocab_size=VOCAB))],
        StrategyError,
        "differ in their network",
    ),
    "condition of one": (
        lambda: [begin(1, network=Told()), begin(2, network=Told(), condition=torch.tensor([1]))],
        CanvasError,
        "conditions of states 0 and 1 have the forms None and .*conditions of one form",
    ),
    "conditions of two forms": (
        lambda: [
            begin(1, network=Told(), condition={"a": torch.tensor([1])}),
            begin(2, network=Told(), condition=torch.tensor([1])),
        ],
        CanvasError,
        "conditions of one form",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_states_that_cannot_be_joined_are_refused(case):
    make, error, words = REFUSED[case]
    states = make()
    for order in (states, states[::-1]):
        with pytest.raises(error, match=words if order is states else None):
            State.concat(order)


ROWS = {
    "list of flags": [False, False, True],
    "array of flags": np.array([False, False, True]),
    "tensor of flags": torch.tensor([False, False, True]),
    "list": [2],
    "small integers": np.array([2], np.uint8),
    "tensor": torch.tensor([2]),
    "range": range(2, 3),
}


@pytest.mark.parametrize("rows", ROWS)
def test_rows_are_taken_by_index_or_by_flag(rows):
    state = init(NET, Canvas.blank(3, 4), PLAN, [1, 2, 3])
    part = state.take(ROWS[rows])
    assert part.rows.index.tolist() == [2]
    whole = state.put(ROWS[rows], step(part, NET, PLAN).state)
    assert whole.rows.step.tolist() == [0, 0, 1]
    assert not len(state.take([]))
    assert not len(state.take([False] * 3))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([0.0, 1.9], "rows of float64"),
        (torch.tensor([1.0]), "rows of float32"),
        ([-1], r"rows \[-1\] of a state of 3 rows: pass indices from 0 to 2"),
        ([0, 3], "pass indices from 0 to 2"),
        ([True, False], "2 flags for 3 rows"),
        ([[0, 1]], r"\(1, 2\)"),
        (1, r"\(\): pass indices"),
        ("01", "pass indices"),
        (None, "pass indices"),
    ],
)
def test_rows_that_are_none_are_refused(rows, words):
    state = init(NET, Canvas.blank(3, 4), PLAN, [1, 2, 3])
    for use in (state.take, lambda rows: state.put(rows, state)):
        with pytest.raises(CanvasError, match=words):
            use(rows)
