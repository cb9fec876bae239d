"""Comparisons: the front, figures on disk that are never measured twice nor lost, and the tasks."""

import csv
import math
import os
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tests.reference.network import Network

import unmask
from unmask import presets
from unmask.errors import DataError, StrategyError
from unmask.evaluation import benches, boards
from unmask.evaluation.benches import BENCHES, Bench
from unmask.evaluation.compare import (
    LeftOut,
    Measurement,
    compare,
    front,
    model_fingerprint,
    pareto_front,
)
from unmask.evaluation.figures import Figure, Quality, Setting, Terms
from unmask.evaluation.ledger import Ledger
from unmask.models import checkpoint
from unmask.tasks import shidoku

TERMS = Terms("toy", "0123456789ab", seed=0, samples=10)
QUALITIES = (Quality("good", "goodness"), Quality("bad", "badness", False, 0.5))


def setting(steps):
    return Setting("confidence", {"steps": steps}, presets.confidence(steps=steps))


SETTINGS = [setting(steps) for steps in (1, 2, 3)]


@pytest.fixture
def measured(monkeypatch):
    """A task whose figures are made up; the steps that were measured, as they came."""
    calls = []

    def measure(model, strategy, samples, seed, tempered):
        steps = strategy.commit.plan.steps
        calls.append(steps)
        if steps == model:  # stands for a network that cannot be run
            raise StrategyError("no such thing")
        return {
            "good": Figure(1 / 3 * steps, 0.1, steps),
            "bad": Figure(0.5 + steps / 9, 1e-17, steps),
        }

    monkeypatch.setitem(BENCHES, "toy", Bench(QUALITIES, measure, steps=(1,), fewest=2))
    return calls


def naive_front(points, sign):
    def beats(a, b):
        no_worse = a[0] <= b[0] and sign * a[1] >= sign * b[1]
        return no_worse and (a[0] < b[0] or sign * a[1] > sign * b[1])

    real = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    return {i for i in real if not any(beats(points[j], points[i]) for j in real)}


NUMBERS = st.one_of(st.integers(0, 4).map(float), st.floats())


@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), higher=st.booleans())
@example(points=[(1.0, -math.inf), (2.0, 0.0)], higher=True)
@example(points=[(1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, math.nan)], higher=True)
def test_front_is_what_nothing_dominates(points, higher):
    cost, quality = [p[0] for p in points], [p[1] for p in points]
    found = pareto_front(cost, quality, higher_is_better=higher)
    assert len(found) == len(set(found))
    assert set(found) == naive_front(points, 1 if higher else -1)
    assert [cost[i] for i in found] == sorted(cost[i] for i in found)


def test_front_of_measurements_minds_the_direction(measured):
    results = list(compare(None, SETTINGS, TERMS))
    assert front(results, QUALITIES[0]) == [0, 1, 2]
    assert front(results, QUALITIES[1]) == [0]


def test_nothing_is_better_than_ideal():
    values = [0.7, 0.5, 0.4, 0.6]
    results = [
        Measurement(SETTINGS[0], {"bad": Figure(value, 0.1, n)}, measured=True)
        for n, value in enumerate(values)
    ]
    assert front(results, QUALITIES[1]) == [0, 1]


def test_nothing_is_measured_twice(measured, tmp_path):
    path = tmp_path / "a" / "compare.csv"
    first = list(compare(None, SETTINGS[:2], TERMS, Ledger(path, QUALITIES)))
    assert measured == [1, 2]
    again = list(compare(None, SETTINGS, TERMS, Ledger(path, QUALITIES)))
    assert measured == [1, 2, 3]
    assert [each.measured for each in again] == [False, False, True]
    assert [each.figures for each in again[:2]] == [each.figures for each in first]


@pytest.mark.parametrize("other", [{"seed": 1}, {"samples": 11}, {"fingerprint": "f" * 12}])
def test_other_terms_are_measured_and_stand_beside(measured, tmp_path, other):
    path = tmp_path / "compare.csv"
    list(compare(None, SETTINGS[:1], TERMS, Ledger(path, QUALITIES)))
    list(compare(None, SETTINGS[:1], replace(TERMS, **other), Ledger(path, QUALITIES)))
    assert measured == [1, 1]
    list(compare(None, SETTINGS[:1], TERMS, Ledger(path, QUALITIES)))
    assert measured == [1, 1]


def test_what_was_measured_before_an_interruption_is_kept(measured, tmp_path):
    path = tmp_path / "compare.csv"
    running = compare(None, SETTINGS, TERMS, Ledger(path, QUALITIES))
    next(running)
    next(running)
    rows = csv.DictReader(path.read_text().splitlines())
    assert [row["setting"] for row in rows] == ["steps=1", "steps=2"]


def test_a_full_disk_leaves_the_earlier_file(measured, tmp_path, monkeypatch):
    path = tmp_path / "compare.csv"
    running = compare(None, SETTINGS, TERMS, Ledger(path, QUALITIES))
    next(running)
    earlier = path.read_bytes()

    def full(_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            next(running)
    assert path.read_bytes() == earlier
    assert [each.name for each in tmp_path.iterdir()] == ["compare.csv"]


def test_figures_come_back_to_the_last_bit(tmp_path):
    figures = {"good": Figure(1 / 3, 2**-60, 1e300 / 7), "bad": Figure(math.inf, 0.0, 0.1 + 0.2)}
    odd = Setting("x", {"keep": None, "steps": 8, "schedule": 'a "b", c'}, presets.confidence())
    Ledger(tmp_path / "compare.csv", QUALITIES).add(TERMS, odd, figures)
    assert Ledger(tmp_path / "compare.csv", QUALITIES).find(TERMS, odd) == figures
    assert Ledger(tmp_path / "compare.csv", QUALITIES).find(TERMS, SETTINGS[0]) is None


def test_two_at_once_keep_each_others_figures(measured, tmp_path):
    path = tmp_path / "compare.csv"
    first, second = Ledger(path, QUALITIES), Ledger(path, QUALITIES)
    list(compare(None, SETTINGS[:1], TERMS, first))
    list(compare(None, SETTINGS[1:], TERMS, second))
    list(compare(None, SETTINGS, TERMS, Ledger(path, QUALITIES)))
    assert measured == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are missing"),
        ("name,value\na,1\n", "name, value instead of task, fingerprint"),
        ("\xff", "is not a CSV file"),
        ("{header}\ntoy,f,0,10,confidence,steps=1,1,2,x,4,5,6\n", "line 2: could not convert"),
        ("{header}\ntoy,f,0\n", "line 2: 3 entries for 12 columns; remove the line"),
    ],
)
def test_a_foreign_file_is_refused_and_left_alone(measured, tmp_path, text, words):
    path = tmp_path / "compare.csv"
    Ledger(tmp_path / "right.csv", QUALITIES).add(TERMS, SETTINGS[0], figures_of_nothing())
    header = (tmp_path / "right.csv").read_text().splitlines()[0]
    path.write_bytes(text.replace("{header}", header).encode("latin-1"))
    earlier = path.read_bytes()
    with pytest.raises(DataError, match=words):
        Ledger(path, QUALITIES)
    assert path.read_bytes() == earlier


def figures_of_nothing():
    return {quality.key: Figure(0.0, 0.0, 1.0) for quality in QUALITIES}


def test_a_preset_that_refuses_is_left_out_once_and_for_all(measured):
    results = list(compare(1, SETTINGS, TERMS, lenient=True))
    assert [type(each) is LeftOut for each in results] == [True, True, True]
    assert results[0].why == "no such thing"
    assert measured == [1]
    with pytest.raises(StrategyError, match="no such thing"):
        list(compare(1, SETTINGS, TERMS))


def test_what_cannot_be_measured_is_told(measured):
    with pytest.raises(DataError, match="did you mean 'shidoku'"):
        list(compare(None, SETTINGS, replace(TERMS, task="shidok")))
    with pytest.raises(DataError, match=r"samples=1: .* 2 to 10000 rows; the default is 1000"):
        list(compare(None, SETTINGS, replace(TERMS, samples=1)))
    assert measured == []


def test_a_fingerprint_is_that_of_the_files_and_not_of_the_place(tmp_path, monkeypatch):
    def model(name, weights, card=b"{}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        (tmp_path / name / "unmask.json").write_bytes(card)
        return tmp_path / name

    first, copy = model("a", b"weights"), model("b", b"weights")
    (copy / "compare.csv").write_text("beside the model")
    assert model_fingerprint(first) == model_fingerprint(copy) == model_fingerprint(str(copy))
    assert len(model_fingerprint(first)) == 12
    others = [model("c", b"others"), model("d", b"weights", b'{"mask_id": 3}'), model("e", b"")]
    assert len({model_fingerprint(each) for each in [first, *others]}) == 4
    monkeypatch.setattr(checkpoint, "bundled", lambda: {"bundled": others[0]})
    assert model_fingerprint("bundled") == model_fingerprint(others[0])


def uniform(vocab, length):
    """A network that knows nothing but prefers id 0 a little, so that greedy rows are all zeros."""
    logits = torch.zeros(vocab)
    logits[0] = 1.0
    network = lambda tokens: logits.expand(*tokens.shape, vocab)  # noqa: E731
    return unmask.wrap(network, mask_id=vocab - 1, vocab_size=vocab, length=length)


def test_shidoku_is_measured_from_nothing_and_on_puzzles():
    measure = BENCHES["shidoku"].measure
    figures = measure(unmask.load("shidoku"), presets.confidence(steps=16), 12, 0, False)
    assert figures["exact"] == Figure(1.0, 1 / 13, 11.0)  # of 16 cells 5 are clues
    assert figures["valid"].forwards == 16
    assert figures["valid"].value > 0.8
    none = measure(uniform(5, 16), presets.random_order(steps=4), 12, 0, False)
    assert none == {"valid": Figure(0.0, 1 / 13, 4.0), "exact": Figure(0.0, 1 / 13, 4.0)}


def test_puzzles_are_those_of_held_out_grids_with_one_solution():
    solutions, puzzles, known = benches.posed(benches.SHIDOKU, 100)
    assert len(solutions) == len(puzzles) == len(known) == 100
    _, held_out = shidoku.split()
    assert torch.equal(solutions, held_out.repeat(2, 1)[:100])
    assert torch.equal(puzzles == solutions, known)
    assert (shidoku.count_solutions(puzzles) == 1).all()
    assert len(puzzles.unique(dim=0)) > 95  # the second round hides other cells


def test_sudoku_is_measured_like_shidoku():
    """On two boards, by a network that knows nothing."""
    figures = BENCHES["sudoku"].measure(uniform(10, 81), presets.confidence(steps=3), 2, 0, False)
    assert figures == {"valid": Figure(0.0, 1 / 3, 3.0), "exact": Figure(0.0, 1 / 3, 3.0)}
    solutions, puzzles, known = benches.posed(benches.SUDOKU, 2)
    assert torch.equal(puzzles == solutions, known)
    assert known.sum(1).tolist() == [31, 31]


def test_puzzles_are_drawn_greedily_and_samples_are_not(monkeypatch):
    temperatures = []
    real = boards.run

    def spy(model, canvas, strategy, **options):
        temperatures.append(strategy.sampling.temperature)
        return real(model, canvas, strategy, **options)

    monkeypatch.setattr(boards, "run", spy)
    network, measure = uniform(5, 16), BENCHES["shidoku"].measure
    measure(network, presets.confidence(steps=2, temperature=0.7), 4, 0, False)
    measure(network, presets.confidence(steps=2, temperature=0.0), 4, 0, False)
    measure(network, presets.confidence(steps=2, temperature=0.7), 4, 0, True)
    assert temperatures == [0.7, 0.0, 1.0, 0.0, 0.7, 0.7]


def test_rows_do_not_depend_on_the_batch(monkeypatch):
    network, rule, measure = uniform(5, 16), presets.random_order(3), BENCHES["shidoku"].measure
    drawn, real = [], boards.run

    def spy(*arguments, **options):
        drawn.append(real(*arguments, **options))
        return drawn[-1]

    monkeypatch.setattr(boards, "run", spy)
    whole = measure(network, rule, 7, 3, False)
    monkeypatch.setattr(boards, "BATCH", 2)
    assert measure(network, rule, 7, 3, False) == whole
    assert measure(network, rule, 7, 4, False) is not None
    one, _, same, _, other, _ = drawn
    assert torch.equal(one.tokens, same.tokens)
    assert same.forwards.tolist() == [3] * 7
    assert not torch.equal(one.tokens, other.tokens)


def test_digits_are_measured_by_class(monkeypatch):
    asked = []

    def network(tokens, condition):
        asked.append(condition.tolist())
        return torch.zeros(*tokens.shape, 18)

    class Told(Network):
        """A network that is told the class; the wrapper of plain callables is not."""

        vocab_size, mask_id, length = 18, 17, 64

        def hidden(self, tokens, *, valid, condition):
            return network(tokens, condition)

    monkeypatch.setattr(sys.modules["unmask.evaluation.judges"], "TREES", 5)
    bench = BENCHES["digits"]
    figures = bench.measure(Told(), presets.random_order(steps=2), 20, 0, False)
    assert asked == [[*range(10), *range(10)]] * 2
    assert figures["two_sample"].value > 0.9  # noise is told from digits
    assert {figure.forwards for figure in figures.values()} == {2.0}
    assert not bench.qualities[0].higher_is_better
    with pytest.raises(DataError, match="samples=1798"):
        bench.check_samples(1798)
