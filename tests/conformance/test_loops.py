"""One loop under four names: stream, run, generate, and init / step / done / finish by hand."""

import dataclasses

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conformance.cases import cases, hard
from tests.conformance.catalogue import PRESETS
from tests.conformance.toys import Toy

import unmask


class NoCache(Toy):
    cached = False

    def forward(self, query, cache):
        return super().forward(query, None)[0], None


RECORD = [field.name for field in dataclasses.fields(unmask.Generation)]


def by_hand(canvas, strategy, seeds):
    state = unmask.init(Toy(), canvas, strategy, torch.tensor(seeds))
    while not unmask.done(state):
        state = unmask.step(state, Toy(), strategy).state
    return unmask.finish(state)


def by_stream(canvas, strategy, seeds):
    state = None
    for info in unmask.stream(Toy(), canvas, strategy, seeds=seeds):
        state = info.state
    if state is None:  # nothing to generate, so no step to see
        return unmask.finish(unmask.init(Toy(), canvas, strategy, torch.tensor(seeds)))
    return unmask.finish(state)


@pytest.mark.parametrize("entry", PRESETS, ids=lambda e: e.name)
def test_the_four_ways_agree(entry):
    @settings(max_examples=4)
    @given(case=cases(max_rows=3))
    @example(case=hard())
    def check(case):
        canvas, strategy = case.canvas(entry=entry), case.strategy(entry)
        record = unmask.run(Toy(), canvas, strategy, seeds=case.seeds)
        tokens = unmask.generate(Toy(), canvas, strategy, seeds=case.seeds)
        assert torch.equal(record.tokens, tokens)
        for other in (by_hand, by_stream):
            again = other(canvas, strategy, case.seeds)
            for name in RECORD:
                assert torch.equal(getattr(record, name), getattr(again, name)), (other, name)

    check()


@given(seed=st.integers(0, 2**63 - 1), rows=st.integers(1, 3), more=st.integers(1, 3))
@settings(max_examples=10)
def test_one_seed_serves_a_batch_and_a_larger_batch_extends_it(seed, rows, more):
    strategy = unmask.presets.random_order(2)
    small = unmask.run(Toy(), unmask.Canvas.blank(rows, 4), strategy, seed=seed)
    large = unmask.run(Toy(), unmask.Canvas.blank(rows + more, 4), strategy, seed=seed)
    assert torch.equal(small.tokens, large.tokens[:rows])
    assert torch.equal(small.seeds, large.seeds[:rows])
    again = unmask.run(Toy(), unmask.Canvas.blank(rows, 4), strategy, seeds=small.seeds)
    assert torch.equal(small.tokens, again.tokens)


def test_without_a_seed_torch_decides():
    strategy, canvas = unmask.presets.random_order(2), unmask.Canvas.blank(2, 8)
    torch.manual_seed(5)
    first, second = (unmask.generate(Toy(), canvas, strategy) for _ in range(2))
    torch.manual_seed(5)
    again = unmask.generate(Toy(), canvas, strategy)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_seed_leaves_the_generator_of_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for entry in PRESETS:
        unmask.generate(Toy(), unmask.Canvas.blank(2, 4), entry.make(4, 2, "linear"), seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_canvas_is_not_written_to():
    canvas = unmask.Canvas.infill(torch.tensor([[1, 9, 9, 3]]), torch.tensor([[0, 1, 1, 0]]) > 0)
    behind = unmask.Canvas.infill(canvas.tokens, torch.tensor([[0, 1, 1, 1]]) > 0)
    for entry in PRESETS:  # rows that grow end with what is to be generated
        here = behind if entry.grows else canvas
        unmask.generate(Toy(), here, entry.make(4, 2, "linear"), seed=1)
    for each in (canvas, behind):
        assert each.tokens.tolist() == [[1, 9, 9, 3]]
        assert each.valid.all()
    assert canvas.editable.tolist() == [[False, True, True, False]]
    assert behind.editable.tolist() == [[False, True, True, True]]


def test_two_streams_interleaved_do_not_disturb_each_other():
    network, canvas = Toy(), unmask.Canvas.blank(2, 6)
    strategy = unmask.presets.maskgit(4)
    alone = [unmask.generate(network, canvas, strategy, seeds=s) for s in ([1, 2], [3, 4])]
    streams = [unmask.stream(network, canvas, strategy, seeds=s) for s in ([1, 2], [3, 4])]
    last = list(zip(*streams, strict=True))[-1]
    for tokens, info in zip(alone, last, strict=True):
        assert torch.equal(tokens, info.tokens)


def test_finish_refuses_a_state_that_is_not_done():
    strategy, canvas = unmask.presets.random_order(2), unmask.Canvas.blank(3, 4)
    state = unmask.init(Toy(), canvas, strategy, torch.tensor([1, 2, 3]))
    with pytest.raises(unmask.errors.StrategyError, match=r"rows \[0, 1, 2\].*step until done"):
        unmask.finish(state)
    assert int(unmask.step(state, Toy(), strategy).state.masked.sum()) == 6


@pytest.mark.parametrize("network", [Toy(), NoCache()], ids=["cache", "no cache"])
def test_the_rows_of_a_state_can_be_stepped_apart_and_put_back(network):
    strategy, canvas = unmask.presets.random_order(3), unmask.Canvas.blank(2, 6, steps=[1, 3])
    full = unmask.run(network, canvas, strategy, seeds=[1, 2])
    state = unmask.init(network, canvas, strategy, torch.tensor([1, 2]))
    while not unmask.done(state):
        for row in (torch.tensor([1]), torch.tensor([0])):
            part = state.take(row)
            if not unmask.done(part):
                state = state.put(row, unmask.step(part, network, strategy).state)
    assert torch.equal(unmask.finish(state).tokens, full.tokens)
