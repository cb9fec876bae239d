"""The 288 grids, the puzzles made from them, and their text form."""

import functools
import itertools

import numpy as np
import pytest
import torch

from unmask.errors import DataError
from unmask.tasks import shidoku

WITHIN_BANDS = [[1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1]]
ACROSS_BANDS = [0, 2, 1, 3]


@functools.cache
def naive_grids():
    """Every board that passes the definition, in plain Python: lines, then halves, then wholes."""
    lines = itertools.permutations(range(4))
    halves = [pair for pair in itertools.product(lines, repeat=2) if repeats_nothing(pair)]
    wholes = (upper + lower for upper, lower in itertools.product(halves, repeat=2))
    return [sum(rows, ()) for rows in wholes if solved(rows)]


def repeats_nothing(pair):
    return all(len({*pair[0][at : at + 2], *pair[1][at : at + 2]}) == 4 for at in (0, 2))


def solved(rows):
    columns = zip(*rows, strict=True)
    boxes = (
        [rows[2 * i + a][2 * j + b] for a in range(2) for b in range(2)]
        for i in range(2)
        for j in range(2)
    )
    return all(len(set(unit)) == 4 for unit in (*rows, *columns, *boxes))


def as_set(boards):
    return set(map(tuple, boards.tolist()))


@pytest.fixture(scope="module")
def grids():
    return shidoku.grids()


def test_grids_are_those_of_the_definition_in_sorted_order(grids):
    assert grids.dtype == torch.long
    assert grids.tolist() == [list(board) for board in sorted(naive_grids())]
    assert grids.shape == (288, 16)


def test_grids_are_closed_under_the_group_and_only_under_it(grids):
    every = as_set(grids)
    square = grids.view(-1, 4, 4)
    for mapping in itertools.permutations(range(4)):  # relabelled digits
        assert as_set(torch.tensor(mapping)[grids]) == every
    assert as_set(square.transpose(1, 2).flatten(1)) == every
    assert as_set(square.rot90(1, (1, 2)).flatten(1)) == every
    for rows in WITHIN_BANDS:
        assert as_set(square[:, rows].flatten(1)) == every
    assert as_set(square[:, ACROSS_BANDS].flatten(1)) != every


def test_relabelling_has_twelve_orbits_of_24(grids):
    canonical = grids[(grids[:, :4] == torch.arange(4)).all(1)]
    assert len(canonical) == 12
    assert all((grids == digit).sum(0).eq(72).all() for digit in range(4))


def test_split_is_fixed_disjoint_and_complete(grids):
    train, held_out = shidoku.split()
    order = np.random.default_rng(0).permutation(288)
    assert torch.equal(train, grids[order[:200]])
    assert torch.equal(held_out, grids[order[200:]])
    assert as_set(train) | as_set(held_out) == as_set(grids)


def test_is_valid_accepts_exactly_the_grids(grids):
    assert shidoku.is_valid(grids).all()
    # One cell changed always repeats a digit in its row.
    spoilt = grids.clone()
    spoilt[torch.arange(288), torch.arange(288) % 16] += 1
    assert not shidoku.is_valid(spoilt % 4).any()
    # Rows and columns right, boxes wrong.
    latin = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]])
    assert not shidoku.is_valid(latin).any()
    unknown = grids.clone()
    unknown[:, 5] = shidoku.MASK_ID
    assert not shidoku.is_valid(unknown).any()
    assert not shidoku.is_valid(unknown.masked_fill(unknown == 4, -1)).any()


@pytest.mark.parametrize("boards", [torch.zeros(16).long(), torch.zeros(2, 9).long()])
def test_is_valid_refuses_other_shapes(boards):
    with pytest.raises(DataError, match=r"pass \(B, 16\)"):
        shidoku.is_valid(boards)


def test_is_valid_refuses_other_dtypes():
    with pytest.raises(DataError, match="integer ids"):
        shidoku.is_valid(torch.zeros(2, 16))


@pytest.mark.parametrize("clues", [4, 5, 8, 16])
def test_puzzles_have_one_solution_by_brute_force(grids, clues):
    tokens, known = shidoku.puzzles(grids, clues=clues, seed=3)
    assert known.dtype == torch.bool
    assert (known.sum(1) == clues).all()
    assert torch.equal(tokens, torch.where(known, grids, shidoku.MASK_ID))
    for puzzle, grid in zip(tokens[::4].tolist(), grids[::4].tolist(), strict=True):
        clue = [(at, digit) for at, digit in enumerate(puzzle) if digit != shidoku.MASK_ID]
        fits = [board for board in naive_grids() if all(board[at] == digit for at, digit in clue)]
        assert fits == [tuple(grid)]


def test_puzzles_of_a_grid_do_not_depend_on_the_batch(grids):
    tokens, _ = shidoku.puzzles(grids[:40], seed=1)
    backwards, _ = shidoku.puzzles(grids[:40].flip(0), seed=1)
    assert torch.equal(tokens, backwards.flip(0))
    other, _ = shidoku.puzzles(grids[:40], seed=2)
    assert not torch.equal(tokens, other)
    none, known = shidoku.puzzles(grids[:0])
    assert none.shape == known.shape == (0, 16)


@pytest.mark.parametrize("clues", [0, 3, 17])
def test_puzzles_refuse_hopeless_clue_counts(grids, clues):
    with pytest.raises(DataError, match="4 to 16"):
        shidoku.puzzles(grids, clues=clues)


def test_three_clues_never_suffice(grids):
    # The bound that the error above claims, on one grid per relabelling orbit.
    for grid in grids[(grids[:, :4] == torch.arange(4)).all(1)]:
        for clue in itertools.combinations(range(16), 3):
            assert (grids[:, clue] == grid[list(clue)]).all(1).sum() > 1


def test_puzzles_refuse_unsolved_boards(grids):
    with pytest.raises(DataError, match=r"rows \[1\] are not solved"):
        shidoku.puzzles(torch.stack([grids[0], torch.zeros(16).long()]))


def test_count_solutions(grids):
    boards = torch.full((3, 16), shidoku.MASK_ID)
    boards[1] = grids[7]
    boards[2, :2] = 0  # the same digit twice in a row
    assert shidoku.count_solutions(boards).tolist() == [288, 1, 0]


def test_parse_reads_what_format_writes(grids):
    tokens, known = shidoku.puzzles(grids[:20])
    text = shidoku.format(tokens)
    assert len(text.splitlines()) == 20
    again, known_again = shidoku.parse(text)
    assert torch.equal(again, tokens)
    assert torch.equal(known_again, known)


def test_parse_takes_dots_and_zeros_and_skips_blank_lines():
    tokens, known = shidoku.parse("\n1.0.4..3..2..4.1  \n\n................\n")
    assert tokens[0].tolist() == [0, 4, 4, 4, 3, 4, 4, 2, 4, 4, 1, 4, 4, 3, 4, 0]
    assert known.sum(1).tolist() == [6, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no puzzle found"),
        ("\n  \n", "no puzzle found"),
        ("................\n......5.........", "line 2, column 7: '5' is no cell"),
        ("\n.......", "line 2, column 8: .* has 7 characters"),
        (".................", "line 1, column 17: .* has 17 characters"),
        (" 1..............", "line 1, column 1: ' ' is no cell"),
    ],
)
def test_parse_names_line_and_column(text, message):
    with pytest.raises(DataError, match=message):
        shidoku.parse(text)
