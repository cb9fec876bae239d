"""Sudoku's figures, measured on a network that knows the answers and on one that knows none."""

import pytest
import torch

import unmask
from unmask.evaluation import boards
from unmask.evaluation import sudoku as figures
from unmask.tasks import sudoku


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(figures, "PUZZLES", 8)
    monkeypatch.setattr(figures, "BOARDS", 3)
    monkeypatch.setattr(boards, "BATCH", 5)
    figures.puzzles.cache_clear()
    yield
    figures.puzzles.cache_clear()


def certain(tokens):
    digits = sudoku.rate(tokens).solution.clamp(max=sudoku.DIGITS - 1)
    return 50.0 * torch.nn.functional.one_hot(digits, sudoku.VOCAB).float()


def undecided(tokens):
    return torch.zeros(*tokens.shape, sudoku.VOCAB)


def rows(network):
    model = unmask.wrap(network, mask_id=sudoku.MASK_ID, vocab_size=sudoku.VOCAB)
    return [
        measure()
        for name, measure in figures.plan(model, 0, False)
        if "puzzles" in name and "one at a time" not in name
    ]


def test_who_knows_the_answers_gets_all_of_them_in_one_forward():
    made = rows(certain)
    assert {(row["valid"], row["exact"], row["forwards"]) for row in made} == {(1.0, 1.0, 1.0)}
    # Of each number of blanks all puzzles are in one row or the other.
    half = [row for row in made if row["preset"] == "threshold .9"]
    assert sum(row["samples"] for row in half) == 8 * len(figures.BLANKS)
    assert {row["guessing"] for row in half} == {True, False}


def test_who_knows_nothing_gets_none_and_decides_one_cell_at_a_time():
    for row in rows(undecided):
        assert (row["valid"], row["exact"]) == (0.0, 0.0)
        assert row["forwards"] == pytest.approx(row["blanks"])


def test_boards_from_nothing_are_judged():
    model = unmask.wrap(certain, mask_id=sudoku.MASK_ID, vocab_size=sudoku.VOCAB)
    (measure,) = [m for name, m in figures.plan(model, 0, False) if "entropy_bound" in name]
    row = measure()
    assert (row["samples"], row["valid"], row["forwards"]) == (3, 1.0, 1.0)
