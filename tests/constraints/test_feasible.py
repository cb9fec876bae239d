"""Feasibility hooks against every sequence written out: allowed iff a completion exists."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.constraints import Automaton, Listed
from unmask.errors import StrategyError
from unmask.tasks import shidoku


def completions(valid_sequences, tokens, known, position, vocab):
    """The contract, naively: ids at `position` of the valid sequences that agree elsewhere."""
    fits = [
        sequence
        for sequence in valid_sequences
        if all(sequence[i] == tokens[i] for i in range(len(tokens)) if known[i] and i != position)
    ]
    return [any(sequence[position] == v for sequence in fits) for v in range(vocab)]


def every(vocab, length):
    return itertools.product(range(vocab), repeat=length)


def accepts(transitions, start, accept, sequence):
    state = start
    for token in sequence:
        state = transitions[state][token]
        if state == -1:
            return False
    return state in accept


@st.composite
def rows(draw, vocab, length):
    """A few rows of a canvas: what stands at unknown positions is garbage of any size."""
    count = draw(st.integers(1, 4))
    known = draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length),
                          min_size=count, max_size=count))  # fmt: skip
    ids, garbage = st.integers(0, vocab - 1), st.integers(-9, 99)
    position = [draw(st.integers(0, length - 1)) for _ in range(count)]
    for row, place in zip(known, position, strict=True):
        row[place] = False
    tokens = [[draw(ids if flag else garbage) for flag in row] for row in known]
    return torch.tensor(tokens), torch.tensor(known), torch.tensor(position)


@st.composite
def automata(draw):
    states, vocab = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    line = st.lists(st.integers(-1, states - 1), min_size=vocab, max_size=vocab)
    transitions = draw(st.lists(line, min_size=states, max_size=states))
    start = draw(st.integers(0, states - 1))
    accept = draw(st.lists(st.integers(0, states - 1), min_size=1, max_size=states))
    return transitions, start, accept


@given(st.data(), automata(), st.integers(1, 5))
def test_an_automaton_allows_an_id_iff_an_accepted_completion_exists(data, automaton, length):
    transitions, start, accept = automaton
    vocab = len(transitions[0])
    tokens, known, position = data.draw(rows(vocab, length))
    hook = Automaton(torch.tensor(transitions), start, accept)
    language = [s for s in every(vocab, length) if accepts(transitions, start, accept, s)]
    allowed = hook(tokens, known, position)
    assert allowed.dtype == torch.bool
    assert allowed.tolist() == [
        completions(language, t, k, p, vocab)
        for t, k, p in zip(tokens.tolist(), known.tolist(), position.tolist(), strict=True)
    ]


@given(st.data(), automata(), st.integers(2, 5))
def test_padding_is_read_over(data, automaton, length):
    transitions, start, accept = automaton
    tokens, known, position = data.draw(rows(len(transitions[0]), length))
    ends = [data.draw(st.integers(int(p) + 1, length)) for p in position]
    valid = torch.arange(length) < torch.tensor(ends)[:, None]
    hook = Automaton(torch.tensor(transitions), start, accept)
    tokens[~valid] = 77  # padding is often marked as known, and holds whatever the caller chose
    allowed = hook(tokens, known | ~valid, position, valid)
    alone = [
        hook(tokens[i : i + 1, :end], known[i : i + 1, :end], position[i : i + 1])
        for i, end in enumerate(ends)
    ]
    assert torch.equal(allowed, torch.cat(alone))


@given(
    st.data(),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(1, 5),
)
def test_avoiding_patterns(data, patterns, length):
    vocab = 4  # id 3 stands in no pattern
    tokens, known, position = data.draw(rows(vocab, length))

    def free(sequence):
        windows = itertools.combinations(range(length + 1), 2)
        return not any(list(sequence[a:b]) in patterns for a, b in windows)

    language = [sequence for sequence in every(vocab, length) if free(sequence)]
    allowed = Automaton.avoiding(patterns, vocab)(tokens, known, position)
    assert allowed.tolist() == [
        completions(language, t, k, p, vocab)
        for t, k, p in zip(tokens.tolist(), known.tolist(), position.tolist(), strict=True)
    ]


@given(st.data(), st.integers(1, 3), st.integers(1, 4))
def test_a_list_allows_an_id_iff_a_listed_sequence_agrees(data, vocab, length):
    line = st.lists(st.integers(0, vocab - 1), min_size=length, max_size=length)
    listed = data.draw(st.lists(line, min_size=1, max_size=6))
    tokens, known, position = data.draw(rows(vocab, length))
    allowed = Listed(torch.tensor(listed), vocab)(tokens, known, position)
    assert allowed.dtype == torch.bool
    assert allowed.tolist() == [
        completions(listed, t, k, p, vocab)
        for t, k, p in zip(tokens.tolist(), known.tolist(), position.tolist(), strict=True)
    ]


HOOKS = {
    "automaton": Automaton(torch.tensor([[0, 1], [-1, 0]]), 0, [0]),  # ones in pairs
    "list": Listed(torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]), 2),
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_what_stands_at_the_position_itself_does_not_count(hook):
    tokens = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0]])
    known = torch.tensor([[True, False, True, True]] * 2)
    position = torch.tensor([2, 2])
    unknown = known.clone()
    unknown[:, 2] = False
    assert torch.equal(hook(tokens, known, position), hook(tokens, unknown, position))


def test_ids_of_one_class_are_columns_that_are_equal():
    """A table of classes is the table of a column for each id, in fewer columns."""
    generator = torch.Generator().manual_seed(0)
    of_classes = torch.randint(-1, 40, (40, 4), generator=generator)
    classes = torch.tensor([3, 0, 0, 2, 1, -1, 1, 0, 3])
    transitions = of_classes[:, classes].masked_fill(classes == -1, -1)
    hook = Automaton(of_classes, 0, [3, 7, 20], classes)
    tokens = torch.randint(0, 9, (6, 8), generator=generator)
    known = torch.rand(6, 8, generator=generator) < 0.3
    position = torch.tensor([5, 0, 7, 3, 4, 6])
    whole = hook(tokens, known, position)
    assert 0 < whole.sum() < whole.numel()
    assert not whole[:, 5].any()
    assert torch.equal(Automaton(transitions, 0, [3, 7, 20])(tokens, known, position), whole)


def test_no_completion_allows_nothing():
    hook = Automaton(torch.tensor([[1, -1], [-1, 0]]), 0, [0])  # 0 1 0 1 ...: even lengths only
    tokens, known = torch.zeros(1, 3).long(), torch.zeros(1, 3, dtype=torch.bool)
    assert hook(tokens, known, torch.tensor([1])).tolist() == [[False, False]]
    assert hook(tokens[:, :2], known[:, :2], torch.tensor([1])).tolist() == [[False, True]]


def test_shidoku_grids_filled_by_their_hook_are_valid():
    """Any order and any allowed digit at each cell: never a dead end, always one of the 288."""
    generator = torch.Generator().manual_seed(1)
    hook = shidoku.feasible()
    tokens = torch.full((30, 16), shidoku.MASK_ID)
    known = torch.zeros(30, 16, dtype=torch.bool)
    order = torch.rand(30, 16, generator=generator).argsort(1)
    for i in range(16):
        allowed = hook(tokens, known, order[:, i])
        assert allowed.shape == (30, shidoku.VOCAB)
        assert allowed.any(1).all()
        assert not allowed[:, shidoku.MASK_ID].any()
        drawn = torch.multinomial(allowed.float(), 1, generator=generator)
        tokens.scatter_(1, order[:, i, None], drawn)
        known.scatter_(1, order[:, i, None], True)
    assert shidoku.is_valid(tokens).all()
    assert len(tokens.unique(dim=0)) > 20


def test_a_shidoku_puzzle_leaves_its_solution_alone():
    grids = shidoku.grids()[::20]
    tokens, known = shidoku.puzzles(grids, clues=5)
    hook = shidoku.feasible()
    for position in range(16):
        allowed = hook(tokens, known, torch.full((len(grids),), position))
        open_here = ~known[:, position]
        solution = torch.nn.functional.one_hot(grids[:, position], shidoku.VOCAB).bool()
        assert torch.equal(allowed[open_here], solution[open_here])


TABLE = torch.tensor([[0, 1], [1, -1]])
WRONG = {
    "no tensor": (lambda: Automaton([[0, 1]], 0, [0]), r"transitions is a list: pass a tensor"),
    "no integers": (lambda: Automaton(torch.zeros(2, 2), 0, [0]), r"float32.*integers \(S,C\)"),
    "flags": (lambda: Automaton(TABLE > 0, 0, [0]), r"torch\.bool of shape.*integers \(S,C\)"),
    "no table": (lambda: Automaton(TABLE[0], 0, [0]), r"of shape \(2,\).*integers \(S,C\)"),
    "no states": (lambda: Automaton(TABLE[:0], 0, [0]), r"of shape \(0, 2\)"),
    "no such state": (
        lambda: Automaton(torch.tensor([[0, 1], [2, 0]]), 0, [0]),
        r"from state 1 by id 0 to state 2: pass 0 to 1, or -1",
    ),
    "below −1": (lambda: Automaton(TABLE - 1, 0, [0]), r"from state 1 by id 1 to state -2"),
    "start outside": (lambda: Automaton(TABLE, 2, [0]), r"start=2: pass states from 0 to 1"),
    "start below": (lambda: Automaton(TABLE, -1, [0]), r"start=-1: pass states from 0 to 1"),
    "start True": (lambda: Automaton(TABLE, True, [0]), r"start=True: pass states"),
    "accept outside": (lambda: Automaton(TABLE, 0, [0, 5]), r"accept=\[0, 5\]: pass states"),
    "accept nothing": (lambda: Automaton(TABLE, 0, []), r"accept=\[\]: pass a list of the states"),
    "accept a number": (lambda: Automaton(TABLE, 0, 1), r"accept=1: pass a list.*\[1\]"),
    "no such class": (
        lambda: Automaton(TABLE, 0, [0], torch.tensor([0, 2, 1])),
        r"id 1 has class 2: pass 0 to 1, the columns of transitions, or -1",
    ),
    "classes of no shape": (
        lambda: Automaton(TABLE, 0, [0], torch.tensor([[0]])),
        r"classes is torch\.int64 of shape \(1, 1\): pass a tensor of integers \(V,\)",
    ),
    "no patterns": (lambda: Automaton.avoiding([], 3), r"patterns=\[\]: pass lists of ids"),
    "an empty pattern": (lambda: Automaton.avoiding([[1], []], 3), r"pass lists of ids"),
    "a pattern outside": (
        lambda: Automaton.avoiding([[1, 3]], 3),
        r"ids \[1, 3\]: pass ids from 0 to 2",
    ),
    "a list of floats": (lambda: Listed(torch.zeros(2, 2), 3), r"sequences is torch\.float32"),
    "a list of nothing": (lambda: Listed(TABLE[:0], 3), r"of shape \(0, 2\).*integers \(G,N\)"),
    "a listed id outside": (
        lambda: Listed(torch.tensor([[0, 1], [1, 3]]), 3),
        r"sequence 1 has id 3 at position 1: pass ids from 0 to 2",
    ),
    "a listed −1": (lambda: Listed(TABLE, 3), r"sequence 1 has id -1 at position 1"),
    "no vocabulary": (lambda: Listed(TABLE, 0), r"vocab_size=0: pass the number of ids"),
    "half a vocabulary": (lambda: Listed(TABLE, 2.5), r"vocab_size=2\.5: pass the number of ids"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_a_hook(name):
    make, words = WRONG[name]
    with pytest.raises(StrategyError, match=words):
        make()


def test_rows_that_do_not_fit_a_hook():
    known, position = torch.ones(2, 3, dtype=torch.bool), torch.tensor([0, 0])
    with pytest.raises(StrategyError, match="rows have 3 positions and the listed sequences 2"):
        Listed(torch.tensor([[0, 1]]), 2)(torch.zeros(2, 3).long(), known, position)
    tokens = torch.tensor([[0, 0, 0], [0, 0, 2]])
    with pytest.raises(
        StrategyError, match="id 2 at position 2 has no transition: the automaton has 2 ids"
    ):
        Automaton(TABLE, 0, [0])(tokens, known, position)
