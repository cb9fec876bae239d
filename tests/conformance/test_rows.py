"""A row's tokens are its own: whatever stands beside it, wherever it runs (invariant 4)."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.cases import cases, hard
from tests.conformance.catalogue import EVERY, PRESETS
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask


def networks():
    """One with a cache and padding flags, one that knows neither."""
    return {"toy": Toy(), "function": unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)}


def run_rows(network, case, entry, rows, padding):
    """The record of these rows alone, in this order."""
    canvas = case.canvas(rows, padding, entry)
    strategy = case.strategy(entry, canvas.shape[1])
    return unmask.run(network, canvas, strategy, seeds=[case.seeds[i] for i in rows])


def check_same(case, record, rows, full, full_rows):
    """Row for row, over the positions that are not padding."""
    for at, row in enumerate(rows):
        there, length = full_rows.index(row), len(case.rows[row])
        for name in ("tokens", "commit_step"):
            one, other = getattr(record, name)[at], getattr(full, name)[there]
            assert one[:length].tolist() == other[:length].tolist(), (name, row)
        for name in ("logprob", "sampling_logprob"):
            one, other = getattr(record, name)[at], getattr(full, name)[there]
            torch.testing.assert_close(one[:length], other[:length], rtol=1e-5, atol=1e-5)
        for name in ("steps", "forwards", "seeds"):
            assert int(getattr(record, name)[at]) == int(getattr(full, name)[there]), (name, row)


@pytest.mark.parametrize("entry", EVERY, ids=lambda e: e.name)
def test_a_row_does_not_notice_its_batch(entry):
    @settings(max_examples=10 if entry in PRESETS else 2)
    @given(
        case=st.just(hard()) | cases(max_rows=3),
        name=st.sampled_from(["toy", "function"]),
        data=st.data(),
    )
    def check(case, name, data):
        network = networks()[name]
        everyone = list(range(len(case.rows)))
        full = run_rows(network, case, entry, everyone, case.padding)
        order = data.draw(st.permutations(everyone), label="order")
        more = 0 if entry.fixed_length else data.draw(st.integers(0, 3), label="padding")
        if not entry.fixed_length:
            check_same(case, run_rows(network, case, entry, order, more), order, full, everyone)
            alone = [order[0]]
            check_same(case, run_rows(network, case, entry, alone, 0), alone, full, everyone)
            return
        width = full.tokens.shape[1]  # a grid fits one length: pad every batch to it
        for rows in (order, [order[0]]):
            padding = width - max(len(case.rows[i]) for i in rows)
            check_same(case, run_rows(network, case, entry, rows, padding), rows, full, everyone)

    check()


@pytest.mark.parametrize("entry", EVERY, ids=lambda e: e.name)
def test_a_row_resumes_elsewhere(entry):
    """Stepped in the batch, then pickled or cloned, then stepped on: together, and alone."""

    @settings(max_examples=6 if entry in PRESETS else 2)
    @given(
        case=st.just(hard()) | cases(max_rows=3),
        before=st.sampled_from([2, 1, 0, 3, 4]),
        move=st.sampled_from([lambda state: pickle.loads(pickle.dumps(state)), copy.deepcopy]),
        data=st.data(),
    )
    def check(case, before, move, data):
        strategy, canvas = case.strategy(entry), case.canvas(entry=entry)
        full = unmask.run(Toy(), canvas, strategy, seeds=case.seeds)
        state = unmask.init(Toy(), canvas, strategy, torch.tensor(case.seeds))
        for _ in range(before):
            if not unmask.done(state):
                state = unmask.step(state, Toy(), strategy).state
        everyone = list(range(len(case.rows)))
        one = data.draw(st.sampled_from(everyone), label="row")
        for rows in (everyone, [one]):
            part = move(state.take(torch.tensor(rows)))
            while not unmask.done(part):
                part = unmask.step(part, Toy(), strategy).state
            check_same(case, unmask.finish(part), rows, full, everyone)

    check()


@pytest.mark.parametrize("entry", EVERY, ids=lambda e: e.name)
def test_rows_at_different_steps_go_on_together(entry):
    """One row is ahead of the others, as when it joins a batch that has begun."""
    case = hard()
    network, canvas = networks()["function"], case.canvas(entry=entry)
    strategy = case.strategy(entry)
    full = unmask.run(network, canvas, strategy, seeds=case.seeds)
    state = unmask.init(network, canvas, strategy, torch.tensor(case.seeds))
    ahead = torch.tensor([0, 4])
    state = state.put(ahead, unmask.step(state.take(ahead), network, strategy).state)
    assert state.step.tolist() == [1, 0, 0, 0, 1]
    while not unmask.done(state):
        state = unmask.step(state, network, strategy).state
    check_same(case, unmask.finish(state), list(range(5)), full, list(range(5)))


@pytest.mark.parametrize("entry", PRESETS, ids=lambda e: e.name)
def test_rows_differ_by_their_seed_alone(entry):
    """Equal seeds with equal content are refused, so a copy is made in two runs."""
    strategy = entry.make(6, 3, "linear")
    # Warm, where rules are not.
    strategy = strategy.but(sampling=unmask.Sampling(gumbel=strategy.sampling.gumbel))
    canvas = unmask.Canvas.blank(8, 6)
    first = unmask.generate(Toy(), canvas, strategy, seeds=range(8))
    again = unmask.generate(Toy(), canvas, strategy, seeds=range(8))
    other = unmask.generate(Toy(), canvas, strategy, seeds=range(8, 16))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(set(map(tuple, first.tolist()))) > 1
