"""What comes in by `init` and by an engine is checked as `run` checks it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Engine, init, presets
from unmask.errors import CanvasError, SeedError, StrategyError
from unmask.orders import Order

NET = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB)
BLANK, GOOD = Canvas.blank(1, 4), presets.maskgit(2)

WRONG = {
    "network": ((flat, BLANK, GOOD, [1]), StrategyError, r"not a denoiser: wrap it first"),
    "tensor": ((NET, torch.zeros(1, 4), GOOD, [1]), CanvasError, r"canvas is a Tensor: pass"),
    "no canvas": ((NET, None, GOOD, [1]), CanvasError, r"canvas is a NoneType: pass"),
    "preset": ((NET, BLANK, presets.maskgit, [1]), StrategyError, r"preset that has been called"),
    "no strategy": ((NET, BLANK, 3, [1]), StrategyError, r"preset that has been called"),
    "scalar": ((NET, BLANK, GOOD, torch.tensor(3)), SeedError, r"one integer per row"),
    "number": ((NET, BLANK, GOOD, 3.0), SeedError, r"one integer per row"),
    "text": ((NET, BLANK, GOOD, "3"), SeedError, r"seed='3': pass an integer"),
}


@pytest.mark.parametrize("way", ["init", "submit", "run"])
@pytest.mark.parametrize("case", WRONG)
def test_what_comes_in_is_checked_everywhere(case, way):
    (network, canvas, strategy, seeds), error, words = WRONG[case]
    use = {
        "init": lambda: init(network, canvas, strategy, seeds),
        "submit": lambda: Engine(network).submit(canvas, strategy, seeds),
        "run": lambda: unmask.run(network, canvas, strategy, seeds=seeds),
    }[way]
    with pytest.raises(error, match=words):
        use()


def test_a_missing_strategy_is_refused_where_there_is_no_default():
    for use in (lambda: init(NET, BLANK, None, [1]), lambda: Engine(NET).submit(BLANK, None, [1])):
        with pytest.raises(StrategyError, match="strategy=None: pass a preset"):
            use()


def test_a_state_is_not_adopted_by_a_preset_that_was_not_called():
    with pytest.raises(StrategyError, match="preset that has been called"):
        Engine(NET).adopt(init(NET, BLANK, GOOD, [1]), presets.maskgit)


@pytest.mark.parametrize("halves", ["no", 0, None])
def test_halves_is_a_bool(halves):
    with pytest.raises(StrategyError, match=r"halves=.*: pass True or False"):
        Engine(NET, halves=halves)


@pytest.mark.parametrize("ids", [1, np.int64(1), [1], (1, 9), np.array([1]), torch.tensor([1])])
def test_rows_are_cancelled_by_one_id_or_several(ids):
    engine = Engine(NET)
    engine.submit(Canvas.blank(3, 4), GOOD, [1, 2, 3])
    engine.cancel(ids)
    engine.cancel([])
    assert engine.unfinished.tolist() == [0, 2]


@pytest.mark.parametrize("ids", [1.5, [1.5], "1", [True], [[1]], None])
def test_ids_that_are_none_cancel_nothing(ids):
    engine = Engine(NET)
    engine.submit(Canvas.blank(3, 4), GOOD, [1, 2, 3])
    with pytest.raises(StrategyError, match=r"cancel\(.*\): pass ids that submit has returned"):
        engine.cancel(ids)
    assert engine.unfinished.tolist() == [0, 1, 2]


def test_the_event_of_rows_with_nothing_to_do_is_of_step_0():
    engine = Engine(NET)
    engine.submit(Canvas.infill(torch.ones(2, 3).long(), torch.zeros(2, 3).bool()), GOOD, [1, 2])
    (event,) = engine.step()
    assert event.finished.tolist() == [0, 1]
    assert event.info.step == 0


def test_strategies_that_cannot_be_compared_run_apart():
    """An order of one's own that holds a tensor: comparing two of them has no truth value."""

    @dataclass(frozen=True)
    class ByTable(Order):
        table: torch.Tensor
        blind = True

        def __call__(self, state, proposal):
            return self.table.expand(state.masked.shape)

    engine = Engine(Toy())
    for seed in (0, 1):
        order = ByTable(torch.arange(4.0))
        engine.submit(Canvas.blank(1, 4), presets.random_order(2).but(order=order), [seed])
    while engine.unfinished.size:
        engine.step()


@pytest.mark.parametrize(("rows", "length"), [(1, 10**15), (10**15, 4), (1, 2**62), (2**40, 2**40)])
def test_rows_that_no_memory_holds_are_told_by_their_size(rows, length):
    with pytest.raises(CanvasError, match=rf"batch_size={rows} and length={length}: .*fewer rows"):
        Canvas.blank(rows, length)
