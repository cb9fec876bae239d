"""Random programs of an engine: whatever is submitted and cancelled when, rows are as alone."""

import itertools
import operator
import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.toys import MASK
from tests.engine.networks import ANY, KINDS, Broken

import unmask
from unmask.core.state import State
from unmask.errors import DenoiserError, SplitWarning

PROGRAMS = 180  # of each kind of network: more than a thousand over the six


OF_ROWS = [(), (), ("legal",), ("required",), ("steps",), ("legal", "steps"), ("required", "steps")]
FAILURES = {
    "memory": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "broken": lambda: ValueError("broken pipe"),
}


@dataclass(frozen=True)
class Job:
    """Rows of one strategy, submitted before a step; some are cancelled before a later one."""

    strategy: int
    rows: tuple[tuple[int, int, int], ...]  # length, known positions as bits, seed
    content: int
    classes: tuple[int, ...]
    at: int
    cancelled: tuple[tuple[int, int], ...]  # (row, step)
    of_rows: tuple[str, ...] = ()  # of legal, required and steps, where the strategy takes them


def known_bits(length):
    """Nothing is known, or all, or something between."""
    return st.sampled_from([0, 2**length - 1]) | st.integers(0, 2**length - 1)


@st.composite
def programs(draw, strategies, longest, max_jobs=4):
    jobs = []
    for _ in range(draw(st.integers(1, max_jobs))):
        lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=3))
        rows = tuple(
            (length, draw(known_bits(length)), draw(st.integers(0, 2**40))) for length in lengths
        )
        count = st.integers(0, len(rows) - 1)
        jobs.append(
            Job(
                draw(st.integers(0, strategies - 1)),
                rows,
                draw(st.integers(0, 9)),
                tuple(draw(st.integers(0, 3)) for _ in rows),
                draw(st.integers(0, 6)),
                tuple(draw(st.lists(st.tuples(count, st.integers(0, 8)), max_size=2))),
                draw(st.sampled_from(OF_ROWS)),
            )
        )
    failures = st.dictionaries(st.integers(1, 20), st.sampled_from(sorted(FAILURES)), max_size=8)
    limits = draw(st.sampled_from([{}, {"max_rows": 2}, {"max_tokens": 12}, {"max_rows": 1}]))
    return jobs, limits, draw(failures)


class Failing:
    """A network that raises at some of its calls, of the trunk or the head, and then goes on."""

    def __init__(self, inner, failures):
        self.inner, self.failures, self.calls, self.raised = inner, failures, 0, 0
        self.spec, self.device = inner.spec, inner.device

    def call(self):
        self.calls += 1
        if self.calls in self.failures:
            self.raised += 1
            raise FAILURES[self.failures[self.calls]]()

    def forward(self, query, cache):
        self.call()
        return self.inner.forward(query, cache)

    def logits(self, hidden):
        self.call()
        return self.inner.logits(hidden)

    def projection(self, hidden):
        return None


def of_rows(job, strategy, lengths, rows, vocab):
    """What a canvas has for these rows beside tokens, as far as the strategy takes it."""
    given, width, bound = {}, max(lengths), strategy.end_id is None
    bound = bound and strategy.constraint.feasible is None and strategy.growth is None
    if "legal" in job.of_rows and bound:
        given["legal"] = torch.ones(len(rows), width, vocab, dtype=torch.bool)
        for at, row in enumerate(rows):
            given["legal"][at, :, (job.content + row) % 2] = False
    if "required" in job.of_rows and bound:
        given["required"] = torch.full((len(rows), width), -1)
        for at, row in enumerate(rows):
            given["required"][at, (job.content + row) % lengths[at]] = 3
    if "steps" in job.of_rows and strategy.commit.count_plan.takes_steps:
        given["steps"] = [1 + (job.content + row) % 4 for row in rows]
    return given


def canvas_of(denoiser, job, strategy, vocab, told, rows=None):
    chosen = range(len(job.rows)) if rows is None else rows
    generator = torch.Generator().manual_seed(job.content)
    table = torch.randint(vocab, (len(job.rows), 32), generator=generator)
    lines = [table[i, : job.rows[i][0]] for i in chosen]
    hooked = strategy.constraint.feasible is not None  # prompts may not be feasible
    known = [0 if hooked else job.rows[i][1] for i in chosen]
    flags = [
        [not k >> p & 1 for p in range(len(line))] for k, line in zip(known, lines, strict=True)
    ]
    if strategy.growth is not None:  # nothing is known behind what is to be generated
        flags = [list(itertools.accumulate(row, operator.or_)) for row in flags]
    classes = torch.tensor([job.classes[i] for i in chosen]) if told else None
    more = of_rows(
        job, strategy, [len(line) for line in lines], list(chosen), denoiser.spec.vocab_size
    )
    if "required" in more:  # of what is to be generated
        for at, flag in enumerate(flags):
            more["required"][at, : len(flag)].masked_fill_(~torch.tensor(flag), -1)
    return unmask.Canvas.ragged(lines, flags, condition=classes, **more)


def seeds_of(job, rows=None):
    """Seeds that differ from row to row, so that no two rows are copies."""
    chosen = range(len(job.rows)) if rows is None else rows
    return [job.rows[i][2] * 4 + i for i in chosen]


def run(denoiser, jobs, limits, strategies, vocab, told):
    """Each finished row's record, by (job, row)."""
    engine = unmask.Engine(denoiser, **limits)
    names, found, step = {}, {}, 0
    while step <= 8 or len(engine.unfinished):
        for number, job in enumerate(jobs):
            if job.at == step:
                strategy = strategies[job.strategy]()
                canvas = canvas_of(denoiser, job, strategy, vocab, told)
                ids = engine.submit(canvas, strategy, seeds_of(job))
                names |= {int(i): (number, row) for row, i in enumerate(ids)}
        for number, job in enumerate(jobs):
            rows = [row for row, when in job.cancelled if when == step]
            engine.cancel([i for i, name in names.items() if name in [(number, r) for r in rows]])
        for event in patient_step(engine):
            found |= {names[i]: record for i, record in event.results()}
        step += 1
    return found


def patient_step(engine):
    """A step, tried again as long as it raises what `FAILURES` has."""
    while True:
        before = sorted(engine.unfinished)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SplitWarning)
                return engine.step()
        except (DenoiserError, torch.OutOfMemoryError):
            assert sorted(engine.unfinished) == before


def alone(denoiser, job, row, strategies, vocab, told):
    strategy = strategies[job.strategy]()
    canvas = canvas_of(denoiser, job, strategy, vocab, told, [row])
    return unmask.run(denoiser, canvas, strategy, seeds=seeds_of(job, [row]))


def differing(kind, program, network=None):
    """The rows that are not as they are alone, and how many there were."""
    make, strategies, vocab, _, told = KINDS[kind]
    denoiser, (jobs, limits, failures) = (network or make)(), program
    shared = Failing(denoiser, failures) if failures else denoiser
    found = run(shared, jobs, limits, strategies, vocab, told)
    kept = {
        (number, row)
        for number, job in enumerate(jobs)
        for row in range(len(job.rows))
        if row not in [cancelled for cancelled, _ in job.cancelled]
    }
    assert kept <= found.keys()
    wrong = []
    for (number, row), record in found.items():
        other = alone(denoiser, jobs[number], row, strategies, vocab, told)
        same = all(
            getattr(record, name).tolist() == getattr(other, name).tolist()
            for name in ("tokens", "commit_step", "steps", "forwards", "seeds", "editable")
        ) and all(
            torch.allclose(getattr(record, name), getattr(other, name), rtol=1e-4, atol=1e-4)
            for name in ("logprob", "sampling_logprob")
        )
        wrong += [] if same else [(number, row)]
    return wrong, len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_an_engine_are_as_they_are_alone(kind):
    _, strategies, _, longest, _ = KINDS[kind]

    @settings(max_examples=PROGRAMS, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(programs(len(strategies), longest))
    def check(program):
        assert differing(kind, program)[0] == []

    check()


def test_a_cache_that_mixes_rows_is_found_out():
    """The control: the same comparison, with a network whose cache hands rows on to neighbours."""
    rows = tuple((6, 0, seed) for seed in (1, 2, 3))
    strategy = next(i for i, make in enumerate(ANY) if make().name == "confidence")
    job = Job(strategy, rows, 0, (0, 0, 0), 0, ())
    wrong, count = differing("self-conditioned", ([job], {}, {}), Broken)
    assert count == 3
    assert wrong
    assert differing("self-conditioned", ([job], {}, {}))[0] == []


def test_mask_ids_never_come_out():
    found = run(KINDS["plain"][0](), [Job(0, ((7, 0, 3),), 0, (0,), 0, ())], {}, ANY, 7, False)
    assert MASK not in found[0, 0].tokens


def job(at=0, rows=((6, 0, 1), (5, 0, 2)), of_rows=()):
    """Rows of maskgit."""
    return Job(1, rows, 0, (0,) * len(rows), at, (), of_rows)


def forgets_required(states, join=State.concat):
    return join([replace(state, required=None) for state in states])


def wrong_logprob(states, join=State.concat):
    joined = join(states)
    return replace(joined, logprob=joined.logprob + 0.01 * ~joined.masked)


JOINING = {
    "required ids are forgotten": (forgets_required, ("required",)),
    "log-probabilities are changed": (wrong_logprob, ()),
}


@pytest.mark.parametrize("fault", JOINING)
def test_a_fault_in_joining_is_found_out(monkeypatch, fault):
    """Further controls: rows that join others later come out changed."""
    concat, of_rows = JOINING[fault]
    program = ([job(0, of_rows=of_rows), job(1, ((6, 0, 3),), of_rows)], {}, {})
    assert differing("plain", program)[0] == []
    monkeypatch.setattr(State, "concat", staticmethod(concat))
    assert differing("plain", program)[0]


def test_rows_lost_in_a_step_that_raises_are_found_out(monkeypatch):
    """A further control: rows with nothing to do are dropped where the step raises."""
    program = ([job(), job(0, ((3, 7, 3),))], {}, {1: "broken"})
    assert differing("plain", program) == ([], 3)
    step = unmask.Engine.step

    def losing(engine):
        try:
            return step(engine)
        except DenoiserError:
            engine._idle = []
            raise

    monkeypatch.setattr(unmask.Engine, "step", losing)
    with pytest.raises(AssertionError):
        differing("plain", program)
