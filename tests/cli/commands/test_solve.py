"""`unmask solve`: what comes back for each puzzle, and what is said of them all."""

import json

import pytest
import torch

import unmask
from unmask.cli.commands import solve
from unmask.tasks import shidoku, sudoku
from unmask.tasks.task import RULES

from ..conftest import files

SMALL = "2....4....4..1.3"  # 4×4


@pytest.fixture(scope="module")
def puzzles():
    """Three puzzles with one solution, and the solutions."""
    grids = sudoku.random_grids(3, seed=5)
    return sudoku.format(sudoku.puzzles(grids, 40)[0]), sudoku.format(grids)


@pytest.fixture
def oracle(monkeypatch):
    """A network that looks the answer up in the solver: certain of the solution everywhere."""

    def logits(tokens):
        solution = sudoku.rate(tokens).solution.clamp(max=sudoku.DIGITS - 1)
        return 50.0 * torch.nn.functional.one_hot(solution, sudoku.VOCAB).float()

    real = solve.open_model

    def opened(name, options=None):
        model = real(name)
        wrapped = unmask.wrap(logits, mask_id=sudoku.MASK_ID, vocab_size=sudoku.VOCAB)
        vars(model)["denoiser"] = wrapped  # in place of the one that would be loaded
        return model

    monkeypatch.setattr(solve, "open_model", opened)


def test_solutions_come_out_in_order_and_are_counted(call, puzzles, tmp_path, oracle):
    unsolved, solved = puzzles
    (tmp_path / "puzzles.txt").write_text(unsolved + "\n")
    done = call("solve", "puzzles.txt")
    assert (done.code, done.out) == (0, solved + "\n")
    commented = "# three\n" + unsolved.replace("\n", "  # hard\n\n#\n") + " # the last\n"
    (tmp_path / "commented.txt").write_text(commented)
    assert call("solve", "commented.txt").out == solved + "\n"
    assert "3 puzzles: 3 valid, 3 of 3 with one solution exact  1.0 forwards a puzzle" in done.err
    assert "threshold" in done.err


def test_out_is_written_and_the_summary_is_on_stdout(call, puzzles, tmp_path, oracle):
    unsolved, solved = puzzles
    done = call("solve", "-", "--out", "deep/solved.txt", given=unsolved)
    assert (tmp_path / "deep" / "solved.txt").read_text() == solved + "\n"
    assert "3 puzzles: 3 valid" in done.out
    assert "wrote deep/solved.txt" in done.out


def test_json_says_of_each_puzzle_how_it_went(call, puzzles, oracle):
    unsolved, solved = puzzles
    said = call("solve", "-", "--seed", 4, "--json", given=unsolved).json
    assert {key: said[key] for key in said if key not in ("rows", "seconds")} == {
        "model": "sudoku", "preset": "threshold", "seed": 4, "puzzles": 3, "valid": 3,
        "unique": 3, "exact": 3, "unsolvable": 0, "forwards": 1.0,
    }  # fmt: skip
    lines = zip(unsolved.splitlines(), solved.splitlines(), strict=True)
    assert said["rows"] == [
        {"puzzle": puzzle, "solution": solution, "valid": True, "exact": True, "forwards": 1}
        for puzzle, solution in lines
    ]


def test_wrong_answers_are_told(call, puzzles):
    """The network is untrained: clues stay, and the rest is not what it should be."""
    unsolved, solved = puzzles
    said = call("solve", "-", "--json", given=unsolved).json
    assert (said["valid"], said["exact"], said["unique"]) == (0, 0, 3)
    for row, right in zip(said["rows"], solved.splitlines(), strict=True):
        assert row["solution"] != right
        kept = zip(row["puzzle"], row["solution"], strict=True)
        assert all(clue in (".", cell) for clue, cell in kept)
        assert row["exact"] is False


def test_puzzles_without_one_solution_are_not_called_exact(call, puzzles, oracle):
    _, solved = puzzles
    several = solved.splitlines()[0].replace("1", ".").replace("2", ".")
    none = "12345678." + "........9" + "." * 63
    done = call("solve", "-", "--json", given=f"{several}\n{none}\n")
    assert done.code == 2
    said = json.loads(done.out)
    assert (said["unique"], said["exact"], said["unsolvable"]) == (0, 0, 1)
    assert [row["exact"] for row in said["rows"]] == [None, None]
    assert [row["valid"] for row in said["rows"]] == [True, False]
    told = call("solve", "-", given=f"{several}\n{none}\n")
    assert told.code == 2
    assert "2 puzzles: 1 valid, 0 of 0 with one solution exact, 1 without a solution" in told.err
    assert "Error: 1 puzzle without a solution: number 2; check the clues" in told.err
    assert len(told.out.splitlines()) == 2


def test_a_solved_board_spends_nothing(call, puzzles):
    said = call("solve", "-", "--json", given=puzzles[1]).json
    assert (said["forwards"], said["exact"]) == (0, 3)


def test_shidoku_and_folders(call, folders):
    said = call("solve", "-", "shidoku", "--json", given=SMALL).json
    assert (said["model"], said["puzzles"], said["unique"]) == ("shidoku", 1, 1)
    assert call("solve", "-", folders["shidoku"], given=SMALL).code == 0


def test_rules_of_shidoku_find_the_solution():
    grids = shidoku.grids()[::7]
    tokens, _ = shidoku.puzzles(grids, clues=5)
    count, solution = RULES["shidoku"].solve(tokens)
    assert count.eq(1).all()
    assert torch.equal(solution, grids)
    empty = torch.full((1, 16), shidoku.MASK_ID)
    assert RULES["shidoku"].solve(empty)[0].tolist() == [288]


def chosen(call, *options):
    return call("solve", "-", "shidoku", "--json", *options, given="." * 16 + "\n" + SMALL).json


def test_strategies(call):
    """Adaptive by default; one pass for each step asked for; presets and their options by name."""
    assert chosen(call)["preset"] == "threshold"
    careful = [solve.choose_strategy(None, None, []), solve.choose_strategy("threshold", None, [])]
    assert [each.commit.threshold for each in careful] == [0.99, 0.9]
    assert [each.groups is None for each in careful] == [True, False]
    assert max(row["forwards"] for row in chosen(call, "--steps", 4)["rows"]) == 4
    assert chosen(call, "--steps", 4)["preset"] == "confidence"
    named = chosen(call, "--preset", "maskgit", "--steps", 3)
    assert (named["preset"], named["forwards"]) == ("maskgit", 3.0)
    easy = chosen(call, "--set", "threshold=0.0")
    assert easy["forwards"] == 1.0


@pytest.mark.parametrize("options", [(), ("--steps", 5)])
def test_draws_are_greedy_unless_asked(call, options):
    first, second = (chosen(call, *options, "--seed", seed)["rows"] for seed in (1, 2))
    assert first == second
    wild = [chosen(call, "--set", "temperature=3.0", "--seed", seed) for seed in (1, 2)]
    assert wild[0]["rows"] != wild[1]["rows"]


def test_a_puzzle_is_answered_as_in_any_batch(call, puzzles, monkeypatch):
    lines = "\n".join(puzzles[0].splitlines() * 2)
    line = ("solve", "-", "--preset", "random_order", "--steps", 9, "--set", "temperature=1.0")
    whole = call(*line, "--json", given=lines).json["rows"]
    monkeypatch.setattr(solve, "BATCH", 4)
    assert call(*line, "--json", given=lines).json["rows"] == whole


def test_height_and_width_of_a_board_are_known(call):
    said = call("solve", "-", "shidoku", "--preset", "halton", "--json", given=SMALL).json
    assert said["preset"] == "halton"


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["-"], "", "no puzzle found"),
        (["-"], "." * 80, "line 1, column 81: "),
        (["-"], "." * 81 + "\n" + "." * 9 + "x" + "." * 71, "line 2, column 10: 'x'"),
        (["-"], SMALL, "has 16 characters; a puzzle has 81"),
        (["-", "digits"], SMALL, "digits is not a model of puzzles: pass shidoku or sudoku"),
        (["-", "sudokku"], SMALL, "did you mean 'sudoku'?"),
        (["nowhere.txt"], None, "nowhere.txt cannot be read: No such file"),
        (["folder"], None, "folder cannot be read: Is a directory"),
        (["-", "shidoku"], "." * 16 + "\n1.......1.......",
         "puzzle 2 contradicts itself: 1 is given at row 1, column 1, and again at row 3, column"),
        (["-", "--out", "folder"], SMALL, "--out folder is a folder"),
        (["-", "--preset", "thresold"], "." * 81, "did you mean 'threshold'?"),
        (["-", "--set", "steps=3", "--steps", 3], "." * 81, "are both given"),
        (["-", "--set", "treshold=1"], "." * 81, "takes no --set treshold="),
    ],
)  # fmt: skip
def test_what_cannot_be_solved_is_told(call, tmp_path, arguments, given, words):
    (tmp_path / "folder").mkdir()
    assert words in call("solve", *arguments, given=given).error()
    assert files(tmp_path) == []
