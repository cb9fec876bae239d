"""Where a step raises: no row is lost, and the error says which rows it was about."""

import pytest
import torch
from tests.conformance.toys import MASK, VOCAB, Toy, flat

import unmask
from unmask import Canvas, Engine, presets
from unmask.core.state import State
from unmask.errors import DenoiserError, SplitWarning

NOTHING = Canvas.infill(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4).bool())


def drain(engine):
    """Each finished row's tokens, by id."""
    found = {}
    while len(engine.open):
        for event in engine.step():
            found |= {row: record.tokens[0].tolist() for row, record in event.results()}
    return found


class Failing(Toy):
    """Raises once when `next_error` is set."""

    next_error = None

    def forward(self, query, cache):
        error, self.next_error = self.next_error, None
        if error is not None:
            raise error
        return super().forward(query, cache)


def test_rows_with_nothing_to_do_are_reported_by_the_step_after_one_that_raised():
    engine = Engine(Failing())
    idle = engine.submit(NOTHING, presets.maskgit(2), [1, 2])
    busy = engine.submit(Canvas.blank(1, 4), presets.maskgit(2), [3])
    engine.denoiser.next_error = ValueError("broken pipe")
    with pytest.raises(DenoiserError, match="broken pipe"):
        engine.step()
    assert sorted(engine.open) == [*idle, *busy]
    assert sorted(drain(engine)) == [*idle, *busy]


def test_rows_with_nothing_to_do_can_be_cancelled_after_a_step_that_raised():
    engine = Engine(Failing())
    idle = engine.submit(NOTHING, presets.maskgit(2), [1, 2])
    engine.submit(Canvas.blank(1, 4), presets.maskgit(2), [3])
    engine.denoiser.next_error = ValueError("broken pipe")
    with pytest.raises(DenoiserError):
        engine.step()
    engine.cancel(idle[:1])
    assert sorted(drain(engine)) == [1, 2]


@pytest.mark.parametrize("opened", [1, 3])
def test_rows_are_not_lost_where_joining_them_runs_out_of_memory(monkeypatch, opened):
    denoiser, strategy = unmask.wrap(flat, mask_id=MASK, vocab_size=VOCAB), presets.maskgit(4)
    engine, join = Engine(denoiser), State.concat
    seeds = [*range(opened)]
    engine.submit(Canvas.blank(opened, 6), strategy, seeds)
    engine.step()
    later = engine.submit(Canvas.blank(2, 5), strategy, [7, 8])

    def full(states):
        monkeypatch.setattr(State, "concat", staticmethod(join))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(State, "concat", staticmethod(full))
    if opened == 1:
        with pytest.raises(torch.OutOfMemoryError):
            engine.step()
        found = drain(engine)
    else:
        with pytest.warns(SplitWarning):
            found = drain(engine)
    assert sorted(found) == [*range(opened), *later]
    alone = unmask.run(denoiser, Canvas.blank(2, 5), strategy, seeds=[7, 8]).tokens
    assert [found[row] for row in later] == alone.tolist()
