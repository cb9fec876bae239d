"""Random programs of an engine: whatever is submitted and cancelled when, rows are as alone."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.toys import MASK
from tests.engine.networks import ANY, KINDS, Broken

import unmask

PROGRAMS = 180  # of each kind of network: more than a thousand over the six


@dataclass(frozen=True)
class Job:
    """Rows of one strategy, submitted before a step; some are cancelled before a later one."""

    strategy: int
    rows: tuple[tuple[int, int, int], ...]  # length, known positions as bits, seed
    content: int
    classes: tuple[int, ...]
    at: int
    cancelled: tuple[tuple[int, int], ...]  # (row, step)


@st.composite
def programs(draw, strategies, longest, max_jobs=4):
    jobs = []
    for _ in range(draw(st.integers(1, max_jobs))):
        lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=3))
        rows = tuple(
            (length, draw(st.just(0) | st.integers(0, 2**length - 1)), draw(st.integers(0, 2**40)))
            for length in lengths
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
            )
        )
    limits = draw(st.sampled_from([{}, {"max_rows": 2}, {"max_tokens": 12}, {"max_rows": 1}]))
    return jobs, limits


def canvas_of(job, vocab, told, rows=None):
    chosen = range(len(job.rows)) if rows is None else rows
    generator = torch.Generator().manual_seed(job.content)
    table = torch.randint(vocab, (len(job.rows), 32), generator=generator)
    lines = [table[i, : job.rows[i][0]] for i in chosen]
    flags = [[not job.rows[i][1] >> p & 1 for p in range(job.rows[i][0])] for i in chosen]
    classes = torch.tensor([job.classes[i] for i in chosen]) if told else None
    return unmask.Canvas.ragged(lines, flags, condition=classes)


def seeds_of(job, rows=None):
    """Seeds that differ from row to row, so that no two rows are copies."""
    chosen = range(len(job.rows)) if rows is None else rows
    return [job.rows[i][2] * 4 + i for i in chosen]


def run(denoiser, jobs, limits, strategies, vocab, told):
    """Each finished row's record, by (job, row)."""
    engine = unmask.Engine(denoiser, **limits)
    names, found, step = {}, {}, 0
    while step <= 8 or len(engine.open):
        for number, job in enumerate(jobs):
            if job.at == step:
                canvas = canvas_of(job, vocab, told)
                ids = engine.submit(canvas, strategies[job.strategy](), seeds_of(job))
                names |= {int(i): (number, row) for row, i in enumerate(ids)}
        for number, job in enumerate(jobs):
            rows = [row for row, when in job.cancelled if when == step]
            engine.cancel([i for i, name in names.items() if name in [(number, r) for r in rows]])
        for event in engine.step():
            found |= {names[i]: record for i, record in event.results()}
        step += 1
    return found


def alone(denoiser, job, row, strategies, vocab, told):
    canvas = canvas_of(job, vocab, told, [row])
    return unmask.run(denoiser, canvas, strategies[job.strategy](), seeds=seeds_of(job, [row]))


def differing(kind, program, network=None):
    """The rows that are not as they are alone, and how many there were."""
    make, strategies, vocab, _, told = KINDS[kind]
    denoiser, (jobs, limits) = (network or make)(), program
    found = run(denoiser, jobs, limits, strategies, vocab, told)
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
    wrong, count = differing("self-conditioned", ([job], {}), Broken)
    assert count == 3
    assert wrong
    assert differing("self-conditioned", ([job], {}))[0] == []


def test_mask_ids_never_come_out():
    found = run(KINDS["plain"][0](), [Job(0, ((7, 0, 3),), 0, (0,), 0, ())], {}, ANY, 7, False)
    assert MASK not in found[0, 0].tokens
