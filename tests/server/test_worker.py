"""The worker: rows of many jobs in one engine, and what ends a job."""

import threading
import time

import pytest
import torch

import unmask
from unmask import presets
from unmask.core.random import fold
from unmask.decoding import Canvas
from unmask.server.failures import Closing, Expired, QueueFull
from unmask.server.job import Job

V = 12
MASK = 11
STRATEGIES = (presets.random_order(6), presets.confidence(4), presets.maskgit(steps=5))


class Net(torch.nn.Module):
    """Logits by a row alone. A row that holds `bad` has NaN; `slow` seconds a pass."""

    def __init__(self, bad=None, slow=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(V, V)
        self.bad, self.slow, self.passes = bad, slow, 0

    def forward(self, tokens):
        self.passes += 1
        time.sleep(self.slow)
        shown = self.table(tokens)
        logits = shown.cumsum(1) + shown.flip(1).cumsum(1).flip(1)
        if self.bad is not None:
            logits = logits.masked_fill((tokens == self.bad).any(1)[:, None, None], torch.nan)
        return logits


def network(**options):
    return unmask.wrap(Net(**options).eval(), mask_id=MASK, vocab_size=V)


class Asked(Job):
    """Rows of one canvas, and what became of them."""

    def __init__(self, rows, strategy, seed=0, prompt=(), **named):
        length = 10
        self.tokens = torch.zeros(rows, length, dtype=torch.int64)
        self.editable = torch.ones(rows, length, dtype=torch.bool)
        for place, token in enumerate(prompt):
            self.tokens[:, place], self.editable[:, place] = token, False
        self.strategy, self.seeds = strategy, fold(torch.full((rows,), seed), torch.arange(rows))
        self.lengths = [length] * rows
        self.found, self.steps, self.error = {}, [], "nothing yet"
        self.ends, self.over = 0, threading.Event()
        for name, value in named.items():
            setattr(self, name, value)

    def canvas(self, numbers):
        return Canvas.infill(self.tokens[numbers], self.editable[numbers])

    def submit(self, engine, numbers):
        return engine.submit(self.canvas(numbers), self.strategy, self.seeds[numbers])

    def step(self, step):
        self.steps.append(step)

    def row(self, number, found):
        self.found[number] = found.tokens[0].tolist()

    def end(self, error):
        self.error, self.ends = error, self.ends + 1
        self.over.set()

    def result(self):
        assert self.over.wait(60)
        assert self.ends == 1
        return [self.found[i] for i in sorted(self.found)]

    def alone(self, denoiser):
        everything = list(range(len(self.lengths)))
        canvas = self.canvas(everything)
        return unmask.generate(denoiser, canvas, self.strategy, seeds=self.seeds).tolist()


def test_rows_are_those_of_generate_whatever_is_beside(workers):
    denoiser = network()
    worker = workers(denoiser, max_rows=5)
    jobs = [
        Asked(1 + i % 4, STRATEGIES[i % 3], seed=i, prompt=range(i % 3), watched=bool(i % 2))
        for i in range(20)
    ]
    for job in jobs:
        worker.submit(job)
    for job in jobs:
        assert job.result() == job.alone(denoiser)
        assert job.error is None
        assert bool(job.steps) == job.watched


def test_steps_tell_what_was_committed(workers):
    job = Asked(2, STRATEGIES[1], watched=True)
    workers(network()).submit(job)
    for number, tokens in enumerate(job.result()):
        mine = [step for step in job.steps if step.number == number]
        assert [step.step for step in mine] == [1, 2, 3, 4]
        assert [step.forwards for step in mine] == [1, 2, 3, 4]
        assert sorted(p for step in mine for p in step.committed) == list(range(10))
        assert mine[-1].tokens.tolist() == tokens
        assert [step.finished for step in mine] == [False] * 3 + [True]


def test_steps_tell_the_likeliest_ids_of_what_was_committed(workers):
    job = Asked(2, STRATEGIES[1].but(alternatives=V), watched=True)
    plain = Asked(2, STRATEGIES[1], watched=True)
    worker = workers(network())
    for each in (job, plain):
        worker.submit(each)
    assert job.result() == plain.result()
    assert all(not step.alternatives for step in plain.steps)
    for step in job.steps:
        assert sorted(step.alternatives) == step.committed.tolist()
        for place, found in step.alternatives.items():
            ids, values = zip(*found, strict=True)
            assert sorted(ids) == list(range(MASK))
            assert list(values) == sorted(values, reverse=True)
            assert dict(found)[step.tokens[place]] == pytest.approx(step.logprob[place], abs=1e-5)


def test_a_job_of_many_rows_does_not_hold_up_others(workers):
    worker = workers(network(slow=0.001), max_rows=8)
    large, small = Asked(200, STRATEGIES[0]), Asked(1, STRATEGIES[0], seed=9)
    worker.submit(large)
    time.sleep(0.05)
    worker.submit(small)
    assert small.result()
    assert len(large.found) < 100
    assert large.result() == large.alone(worker.denoiser)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_fault_ends_the_job_that_it_is_about_alone(workers, strategy):
    worker = workers(network(bad=7))
    good = [Asked(3, strategy, seed=i) for i in range(4)]
    for job in good:
        job.strategy = strategy.but(constraint=unmask.Constraint(forbidden=(7,)))
    bad = Asked(3, good[0].strategy, prompt=[7])
    for job in (*good[:2], bad, *good[2:]):
        worker.submit(job)
    for job in good:
        assert job.result() == job.alone(worker.denoiser)
    assert bad.over.wait(60)
    assert "NaN" in str(bad.error)
    assert not bad.found


def test_an_error_of_the_network_ends_the_job_that_causes_it_alone(workers):
    class Breaking(Net):
        def forward(self, tokens):
            if (tokens[:, 0] == 3).any():
                raise RuntimeError("no such thing")
            return super().forward(tokens)

    denoiser = unmask.wrap(Breaking().eval(), mask_id=MASK, vocab_size=V)
    worker = workers(denoiser)
    good = [Asked(3, STRATEGIES[i % 3], seed=i, prompt=[1, 2]) for i in range(4)]
    bad = Asked(2, STRATEGIES[0], prompt=[3, 2])
    for job in (*good[:2], bad, *good[2:]):
        worker.submit(job)
    for job in good:
        assert job.result() == job.alone(denoiser)
    assert bad.over.wait(60)
    assert "no such thing" in str(bad.error)


def test_a_job_that_cannot_begin_and_one_that_cannot_be_told(workers):
    worker = workers(network())
    good, wrong = Asked(2, STRATEGIES[0]), Asked(2, STRATEGIES[0], prompt=[99])
    deaf = Asked(2, STRATEGIES[0], row=lambda number, found: 1 / 0)
    for job in (wrong, deaf, good):
        worker.submit(job)
    assert good.result() == good.alone(worker.denoiser)
    assert wrong.over.wait(60)
    assert "99" in str(wrong.error)
    assert deaf.over.wait(60)
    assert isinstance(deaf.error, ZeroDivisionError)


def test_what_is_cancelled_or_late_leaves_at_the_next_step(workers):
    worker = workers(network(slow=0.02), max_rows=2)
    gone, late = Asked(2, presets.random_order(10)), Asked(1, STRATEGIES[0])
    late.deadline = time.monotonic() + 0.05
    behind = Asked(1, STRATEGIES[0], seed=5)
    for job in (gone, late, behind):
        worker.submit(job)
    assert late.over.wait(60)
    assert isinstance(late.error, Expired)
    worker.cancel(gone)
    worker.cancel(gone)
    assert gone.over.wait(60)
    assert not gone.found
    assert behind.result() == behind.alone(worker.denoiser)
    assert gone.ends == late.ends == 1


def test_the_queue_is_bounded(workers):
    worker = workers(network(slow=0.02), max_rows=1, max_queue=2)
    jobs = [Asked(1, STRATEGIES[0], seed=i) for i in range(3)]
    worker.submit(jobs[0])
    while not worker.load.begun:
        time.sleep(0.001)
    for job in jobs[1:]:
        worker.submit(job)
    with pytest.raises(QueueFull, match="2 requests wait"):
        worker.submit(Asked(1, STRATEGIES[0]))
    for job in jobs:
        assert job.result()


def test_a_worker_that_closes_finishes_what_it_has(workers):
    worker = workers(network(slow=0.005))
    jobs = [Asked(3, STRATEGIES[0], seed=i) for i in range(5)]
    for job in jobs:
        worker.submit(job)
    assert worker.close(60)
    assert all(len(job.result()) == 3 for job in jobs)
    with pytest.raises(Closing):
        worker.submit(Asked(1, STRATEGIES[0]))


def test_a_worker_that_must_end_tells_so(workers):
    worker = workers(network(slow=0.05), max_rows=1)
    jobs = [Asked(1, presets.random_order(10), seed=i) for i in range(3)]
    for job in jobs:
        worker.submit(job)
    assert not worker.close(0.1)
    assert all(isinstance(job.error, Closing) for job in jobs[1:])


def test_memory_that_runs_out_for_one_row_ends_its_job_alone(workers):
    class Small(Net):
        def forward(self, tokens):
            if (tokens[:, 0] == 3).any() or len(tokens) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(tokens)

    denoiser = unmask.wrap(Small().eval(), mask_id=MASK, vocab_size=V)
    worker = workers(denoiser)
    good = [Asked(3, STRATEGIES[0], seed=i, prompt=[1]) for i in range(3)]
    bad = Asked(1, STRATEGIES[0], prompt=[3])
    for job in (good[0], bad, *good[1:]):
        worker.submit(job)
    for job in good:
        assert job.result() == job.alone(denoiser)
    assert bad.over.wait(60)
    assert isinstance(bad.error, torch.OutOfMemoryError)
