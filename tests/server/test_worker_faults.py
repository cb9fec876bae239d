"""What may go wrong in a worker, and that nothing is left of it."""

import gc
import threading
import time
import weakref

import pytest
import torch
from tests.server.test_worker import MASK, STRATEGIES, Asked, Net, V, network

import unmask
from unmask import presets
from unmask.errors import StrategyError
from unmask.orders import LeftToRight
from unmask.server import worker as module
from unmask.server.failures import Closing

LONG = presets.random_order(10)


class Wrong(LeftToRight):
    """An order that fails where a row begins with 3."""

    def __call__(self, state, proposal):
        if (state.tokens[:, 0] == 3).any():
            raise RuntimeError("no such order")
        return super().__call__(state, proposal)


def test_a_job_that_fails_alone_takes_no_rows_of_others_along(workers):
    """Rows that take their step alone have ids that others have in the engine of all."""
    worker = workers(network(slow=0.01))
    first = Asked(4, LONG)  # has the ids from 0
    wrong = STRATEGIES[1].but(order=Wrong())
    good, bad = Asked(1, wrong, prompt=[1]), Asked(3, wrong, prompt=[3])
    for job in (first, good, bad):
        worker.submit(job)
    assert bad.over.wait(60)
    assert "no such order" in str(bad.error)
    assert good.result() == good.alone(worker.denoiser)
    assert first.result() == first.alone(worker.denoiser)


def test_a_job_that_cannot_be_told_alone_takes_no_rows_of_others_along(workers):
    worker = workers(network(slow=0.01))
    first = Asked(4, LONG)
    wrong = STRATEGIES[1].but(order=Wrong())
    deaf = Asked(3, wrong, prompt=[1], watched=True, step=lambda step: 1 / 0)
    bad = Asked(1, wrong, prompt=[3])
    for job in (first, deaf, bad):
        worker.submit(job)
    assert deaf.over.wait(60)
    assert isinstance(deaf.error, ZeroDivisionError)
    assert first.result() == first.alone(worker.denoiser)


def test_steps_that_cannot_be_told_end_their_job_alone(workers, monkeypatch):
    def steps_of(info, strategy, chosen):
        if any(info.state.tokens[place, 0] == 3 for place, _ in chosen):
            raise RuntimeError("no such steps")
        return []

    monkeypatch.setattr(module, "steps_of", steps_of)
    worker = workers(network())
    good = Asked(2, STRATEGIES[0], watched=True)
    bad = Asked(2, STRATEGIES[0], prompt=[3], watched=True)
    for job in (good, bad):
        worker.submit(job)
    assert good.result() == good.alone(worker.denoiser)
    assert bad.over.wait(60)
    assert "no such steps" in str(bad.error)


def test_a_meter_that_fails_ends_no_job(workers):
    class Meter:
        def step(self, *given):
            raise RuntimeError("no such meter")

        def first(self, seconds):
            raise RuntimeError("no such meter")

    worker = workers(network(), meter=Meter())
    job = Asked(3, STRATEGIES[0])
    worker.submit(job)
    assert job.result() == job.alone(worker.denoiser)
    assert job.error is None


def test_a_job_of_no_rows_is_over_at_once(workers):
    worker = workers(network())
    job = Asked(0, STRATEGIES[0])
    worker.submit(job)
    assert job.result() == []
    assert job.error is None


def test_a_worker_whose_engine_fails_goes_on_with_another(workers, monkeypatch):
    worker = workers(network(slow=0.01))
    jobs = [Asked(2, LONG, seed=i) for i in range(3)]
    for job in jobs:
        worker.submit(job)
    while not worker.load.rows:
        time.sleep(0.001)

    def broken(ids):
        raise RuntimeError("no such rows")

    broken_engine = worker._engine
    monkeypatch.setattr(broken_engine, "cancel", broken)
    worker.cancel(jobs[0])
    for job in jobs:
        assert job.over.wait(60)
        assert "no such rows" in str(job.error)
    after = Asked(2, STRATEGIES[0])
    worker.submit(after)
    assert after.result() == after.alone(worker.denoiser)
    assert worker.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_has_ended(workers):
    class Leaving(Net):
        def forward(self, tokens):
            raise SystemExit

    worker = workers(unmask.wrap(Leaving().eval(), mask_id=MASK, vocab_size=V), max_rows=1)
    jobs = [Asked(1, STRATEGIES[0], seed=i) for i in range(3)]
    for job in jobs:
        worker.submit(job)
    for job in jobs:
        assert job.over.wait(60)
        assert isinstance(job.error, Closing)
    worker._thread.join(60)
    assert not worker.alive
    with pytest.raises(Closing):
        worker.submit(Asked(1, STRATEGIES[0]))
    worker.cancel(jobs[0])
    assert not worker._inbox


@pytest.mark.filterwarnings("ignore::unmask.errors.SplitWarning")
def test_as_many_rows_as_before_are_tried_again_some_time_after_memory_ran_out(
    workers, monkeypatch
):
    monkeypatch.setattr(module, "CALM", 4)
    rows, full = [], threading.Event()

    class Small(Net):
        def forward(self, tokens):
            rows.append(len(tokens))
            if len(tokens) > 2 and not full.is_set():
                full.set()
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(tokens)

    denoiser = unmask.wrap(Small().eval(), mask_id=MASK, vocab_size=V)
    worker = workers(denoiser, max_rows=8)
    jobs = [Asked(4, LONG, seed=i) for i in range(16)]  # never idle between
    for job in jobs:
        worker.submit(job)
    for job in jobs:
        assert len(job.result()) == 4
        assert job.error is None
    after = rows[rows.index(8) + 1 :]
    assert after[0] == 4
    assert max(after) == 8


def test_an_error_that_is_kept_holds_no_tensors(workers):
    seen = []

    class Breaking(Net):
        def forward(self, tokens):
            large = torch.zeros(1000)
            seen.append(weakref.ref(large))
            raise RuntimeError("no such thing")

    worker = workers(unmask.wrap(Breaking().eval(), mask_id=MASK, vocab_size=V))
    job = Asked(1, STRATEGIES[0])
    worker.submit(job)
    assert job.over.wait(60)
    gc.collect()
    assert job.error.__traceback__ is not None  # where it was raised is still told
    assert seen[0]() is None


def test_rows_of_no_job_are_dropped_once_they_fail(workers):
    """They cannot come about, but a worker that only failed would be one that hangs."""
    worker = workers(network(slow=0.005, bad=3))
    allowed = LONG.but(constraint=unmask.Constraint(forbidden=(3,)))
    stray, job = Asked(1, allowed, prompt=[3]), Asked(2, allowed)
    posted = threading.Event()

    def stray_rows():
        stray.submit(worker._engine, [0])
        posted.set()

    with worker._changed:
        worker._post(stray_rows)
    assert posted.wait(60)
    worker.submit(job)
    assert job.result() == job.alone(worker.denoiser)


def test_errors_of_strategies_are_of_their_cohort():
    """What the tests above rest on."""
    canvas = Asked(1, STRATEGIES[0], prompt=[3]).canvas([0])
    wrong = STRATEGIES[1].but(order=Wrong())
    with pytest.raises(StrategyError, match="no such order"):
        unmask.generate(network(), canvas, wrong, seeds=[1])
