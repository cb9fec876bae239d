"""9×9 sudoku: grids, puzzles, the solver and its rating, the text form."""

import itertools

import numpy as np
import pytest
import torch

from unmask.errors import DataError
from unmask.tasks import sudoku, sudoku_solver

HARD = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."
EASY = "..3.2.6..9..3.5..1..18.64....81.29..7.......8..67.82....26.95..8..2.3..9..5.1.3.."
EASY_SOLVED = "483921657967345821251876493548132976729564138136798245372689514814253769695417382"


def units():
    """Rows, columns and boxes from the definition, as lists of cells."""
    rows = [[9 * r + c for c in range(9)] for r in range(9)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    boxes = [
        [9 * (r + a) + c + b for a in range(3) for b in range(3)]
        for r, c in itertools.product((0, 3, 6), repeat=2)
    ]
    return rows + columns + boxes


PEERS = [{peer for unit in units() if cell in unit for peer in unit} - {cell} for cell in range(81)]


def possible(board, cell):
    return [d for d in range(9) if all(board[peer] != d for peer in PEERS[cell])]


def naive_solutions(board):
    """Every solution of a board with 9 where unknown, depth first."""
    board = list(board)
    if any(digit != 9 and digit not in possible(board, at) for at, digit in enumerate(board)):
        return
    open_ = [cell for cell in range(81) if board[cell] == 9]
    if not open_:
        yield board
        return
    cell = min(open_, key=lambda each: len(possible(board, each)))
    for digit in possible(board, cell):
        yield from naive_solutions([*board[:cell], digit, *board[cell + 1 :]])


def naive_singles(board):
    """Whether naked and hidden singles alone fill the board."""
    board, changed = list(board), True
    while changed:
        changed = False
        for cell in [cell for cell in range(81) if board[cell] == 9]:
            can = possible(board, cell)
            alone = [
                d for d in can for unit in units()
                if cell in unit and all(
                    other == cell or board[other] != 9 or d not in possible(board, other)
                    for other in unit
                )
            ]  # fmt: skip
            if len(can) == 1 or alone:
                board[cell], changed = (can if len(can) == 1 else alone)[0], True
    return 9 not in board


@pytest.fixture(scope="module")
def grids():
    return sudoku.random_grids(60, seed=3)


@pytest.fixture(scope="module")
def hard(grids):
    """Puzzles without a superfluous clue."""
    return sudoku.puzzles(grids, blanks=sudoku.MOST_BLANKS, seed=1)[0]


def naively_valid(board):
    return all(sorted(board[cell] for cell in unit) == list(range(9)) for unit in units())


def test_random_grids_are_solved_and_reproducible(grids):
    assert grids.shape == (60, 81)
    assert grids.dtype == torch.long
    assert all(map(naively_valid, grids.tolist()))
    assert torch.equal(grids, sudoku.random_grids(60, seed=3))
    assert not torch.equal(grids, sudoku.random_grids(60, seed=4))
    assert len(set(map(tuple, grids.tolist()))) == 60
    assert sudoku.random_grids(0).shape == (0, 81)


def test_every_digit_is_as_frequent_in_every_cell():
    """Chi-square of 81 cells × 9 digits, at most 5 standard deviations away."""
    counts = torch.nn.functional.one_hot(sudoku.random_grids(450, seed=9), 9).sum(0).double()
    chi = ((counts - 50) ** 2 / 50).sum(1)  # (81,) of 8 degrees of freedom
    assert (chi < 40).all()  # P(χ²₈ > 40) < 4e-6


def test_is_valid_accepts_exactly_solved_boards(grids):
    assert sudoku.is_valid(grids).tolist() == [True] * 60
    spoilt = grids.clone()
    spoilt[torch.arange(60), torch.arange(60)] += 1
    assert not sudoku.is_valid(spoilt % 9).any()
    latin = (torch.arange(9)[:, None] + torch.arange(9)) % 9  # rows and columns right, boxes wrong
    assert not sudoku.is_valid(latin.view(1, 81)).any()
    assert not sudoku.is_valid(grids.index_fill(1, torch.tensor([5]), sudoku.MASK_ID)).any()


@pytest.mark.parametrize("boards", [torch.zeros(81).long(), torch.zeros(2, 16).long()])
def test_other_shapes_are_refused(boards):
    with pytest.raises(DataError, match=r"pass \(B, 81\)"):
        sudoku.is_valid(boards)


def test_other_dtypes_are_refused():
    with pytest.raises(DataError, match="integer ids"):
        sudoku.rate(torch.zeros(2, 81))


def test_symmetries_keep_boards_solved(grids):
    moved = sudoku.transformed(grids, seed=5)
    assert all(map(naively_valid, moved.tolist()))
    assert torch.equal(moved, sudoku.transformed(grids, seed=5))
    assert not (moved == grids).all(1).any()
    first_rows = {tuple(row) for row in sudoku.transformed(grids[:1].repeat(50, 1)).tolist()}
    assert len(first_rows) == 50


def test_symmetries_keep_what_a_puzzle_is(hard):
    before, after = sudoku.rate(hard), sudoku.rate(sudoku.transformed(hard, seed=2))
    assert torch.equal(before.solutions, after.solutions)
    assert torch.equal(before.blanks, after.blanks)
    assert torch.equal(before.guessing, after.guessing)


def test_symmetries_reach_every_cell_from_every_cell():
    """One known cell lands anywhere, and with any digit."""
    board = torch.full((3000, 81), sudoku.MASK_ID)
    board[:, 0] = 0
    moved = sudoku.transformed(board, seed=0)
    known = moved != sudoku.MASK_ID
    assert (known.sum(1) == 1).all()
    assert known.any(0).all()
    assert moved[known].unique().tolist() == list(range(9))


def test_solver_counts_like_brute_force(grids):
    rng = np.random.default_rng(0)
    boards = grids[:24].clone()
    for row, board in enumerate(boards):
        board[rng.permutation(81)[: 30 + row]] = sudoku.MASK_ID
        if row % 8 == 7:  # two clues that cannot stand together, or not for long
            known = (board != sudoku.MASK_ID).nonzero().flatten()
            board[known[0]] = (board[known[0]] + 1) % 9
    rating = sudoku.rate(boards)
    for board, count, solution in zip(
        boards.tolist(), rating.solutions.tolist(), rating.solution.tolist(), strict=True
    ):
        wanted = list(itertools.islice(naive_solutions(board), 2))
        assert count == len(wanted)
        if count == 1:
            assert solution == wanted[0]
        if count == 0:
            assert solution == [sudoku.MASK_ID] * 81
    assert set(rating.solutions.tolist()) == {0, 1, 2}


def test_guessing_is_needed_where_singles_stop(hard):
    wanted = [not naive_singles(board) for board in hard[:8].tolist()]
    assert sudoku.rate(hard[:8]).guessing.tolist() == wanted
    assert {True, False} == set(wanted)
    known, _ = sudoku.parse(f"{EASY}\n{HARD}")
    assert sudoku.rate(known).guessing.tolist() == [False, True]


def test_a_known_puzzle_is_solved():
    rating = sudoku.rate(sudoku.parse(EASY)[0])
    assert sudoku.format(rating.solution) == EASY_SOLVED
    assert rating.blanks.tolist() == [49]


def test_an_empty_board_has_several_solutions_and_a_hopeless_search_ends(monkeypatch):
    empty = torch.full((1, 81), sudoku.MASK_ID)
    rating = sudoku.rate(empty)
    assert rating.solutions.tolist() == [2]
    assert sudoku.is_valid(rating.solution).all()
    tokens, _ = sudoku.parse(HARD)
    assert sudoku.rate(tokens).solutions.tolist() == [1]
    monkeypatch.setattr(sudoku_solver, "MOST_NODES", 3)
    rating = sudoku.rate(tokens)
    assert rating.solutions.tolist() == [2]
    assert (rating.solution == sudoku.MASK_ID).all()


@pytest.mark.parametrize("blanks", [0, 20, 45])
def test_puzzles_have_one_solution_by_brute_force(grids, blanks):
    tokens, known = sudoku.puzzles(grids[:8], blanks, seed=2)
    assert torch.equal(tokens, torch.where(known, grids[:8], sudoku.MASK_ID))
    assert ((~known).sum(1) == blanks).all()
    for board, grid in zip(tokens.tolist(), grids.tolist(), strict=False):
        assert list(itertools.islice(naive_solutions(board), 2)) == [grid]


def test_puzzles_of_most_blanks_need_every_clue(hard):
    assert sudoku.rate(hard).solutions.eq(1).all()
    for board in hard[:3]:
        clues = (board != sudoku.MASK_ID).nonzero().flatten()
        fewer = board.repeat(len(clues), 1)
        fewer[torch.arange(len(clues)), clues] = sudoku.MASK_ID
        assert sudoku.rate(fewer).solutions.eq(2).all()


def test_a_grid_has_its_puzzle_whatever_the_batch(grids):
    tokens, _ = sudoku.puzzles(grids[:6], seed=1)
    backwards, _ = sudoku.puzzles(grids[:6].flip(0), seed=1)
    assert torch.equal(tokens, backwards.flip(0))
    assert not torch.equal(tokens, sudoku.puzzles(grids[:6], seed=2)[0])
    assert sudoku.puzzles(grids[:0])[0].shape == (0, 81)


def test_what_can_be_no_puzzle_is_refused(grids):
    with pytest.raises(DataError, match="0 to 64 unknown cells"):
        sudoku.puzzles(grids, blanks=65)
    with pytest.raises(DataError, match=r"rows \[1\] are not solved"):
        sudoku.puzzles(torch.stack([grids[0], torch.zeros(81).long()]))


def test_held_out_grids_are_none_of_the_training_grids():
    train, held_out = sudoku.split(train=300, pool=100)
    assert train.shape == (300, 81)
    assert held_out.shape == (sudoku.HELD_OUT_COUNT, 81)
    assert sudoku.is_valid(torch.cat([train, held_out])).all()
    rows = [tuple(row) for row in torch.cat([train, held_out]).tolist()]
    assert len(set(rows)) == len(rows)
    assert torch.equal(train, sudoku.split(train=300, pool=100)[0])


def test_parse_reads_what_format_writes(hard):
    text = sudoku.format(hard)
    tokens, known = sudoku.parse(f"\n{text}  \n\n")
    assert torch.equal(tokens, hard)
    assert torch.equal(known, hard != sudoku.MASK_ID)
    assert torch.equal(sudoku.parse(text.replace(".", "0"))[0], hard)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n  \n", "no puzzle found"),
        (f"{HARD}\n{HARD[:6]}x{HARD[7:]}", "line 2, column 7: 'x' is no cell of a 9×9 board"),
        ("\n.......", "line 2, column 8: .* has 7 characters; a puzzle has 81"),
        (HARD + "1", "line 1, column 82: .* has 82 characters"),
        (" " + HARD[1:], "line 1, column 1: ' ' is no cell"),
        ("²" + HARD[1:], "line 1, column 1: '²' is no cell"),
    ],
)
def test_parse_names_line_and_column(text, message):
    with pytest.raises(DataError, match=message):
        sudoku.parse(text)


def test_comments_are_no_cells_and_columns_stay_those_of_the_file():
    commented = f"# hard ones\n{HARD}  # the first\n\n   # nothing here\n{HARD}#\n"
    assert torch.equal(sudoku.parse(commented)[0], sudoku.parse(f"{HARD}\n{HARD}")[0])
    with pytest.raises(DataError, match=r"line 3, column 81: .* has 80 characters"):
        sudoku.parse(f"# one\n{HARD}\n{HARD[:80]} # short\n")
    with pytest.raises(DataError, match="no puzzle found"):
        sudoku.parse("# nothing\n  # at all\n")
