"""`unmask compare`: what is refused, what is printed and what is on disk."""

import json

import pytest

from unmask import presets
from unmask.cli.ui import comparison
from unmask.errors import StrategyError
from unmask.evaluation.benches import BENCHES
from unmask.evaluation.compare import Measurement
from unmask.evaluation.figures import Figure, Setting
from unmask.presets import by_name

from ..conftest import files

FAST = ("compare", "shidoku", "--samples", 4)


@pytest.fixture
def measured(monkeypatch):
    """Shidoku with figures that are made up: more steps are better; the strategies, as measured."""
    calls = []

    def measure(model, strategy, samples, seed, tempered):
        calls.append(strategy)
        steps = float(getattr(getattr(strategy.commit, "plan", None), "steps", 16))
        return {
            "valid": Figure(1 - 1 / steps, 0.01, steps),
            "exact": Figure(1.0, 0.0, min(steps, 11.0)),
        }

    bench = BENCHES["shidoku"]
    monkeypatch.setitem(BENCHES, "shidoku", type(bench)(bench.qualities, measure, steps=(1, 4)))
    return calls


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "confidnce"], "--preset confidnce: no such preset; did you mean 'conf"),
        (["--preset", "token_critic"], "needs a critic, which neither the options nor the"),
        (["--set", "keep=0.3"], "--set keep=0.3: type PRESET.OPTION=VALUE"),
        (["--set", "annealed.keep"], "--set annealed.keep: type PRESET.OPTION=VALUE"),
        (["--set", "aneal.keep=1"], "no preset 'aneal'; did you mean 'annealed'"),
        (["--set", "annealed.kep=1"], "preset 'annealed' takes no --set kep="),
        (["--set", "annealed.keep=high"], "--set keep=high is of the wrong kind"),
        (["--preset", "maskgit", "--set", "annealed.keep=1"], "type --preset annealed too"),
        (["--preset", "first_hitting", "--steps", "3"], "none of these presets takes steps"),
        (["--steps", "0"], "steps=0"),
        (["--samples", "0"], "samples=0: this task is measured on 1 to"),
        (["--out", "taken"], "taken is a file; pass the name of a folder"),
        (["--out", "taken/below"], "taken is a file"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_measured(
    call, measured, tmp_path, options, words
):
    (tmp_path / "taken").write_text("")
    assert words in call("compare", "shidoku", *options).error()
    assert measured == []
    assert files(tmp_path) == ["taken"]


def test_a_model_of_no_task_is_told_which_there_are(call, folders):
    told = call("compare", folders["text"]).error()
    assert "its card names no task" in told
    assert ", ".join(sorted(BENCHES)) in told


def test_json_and_files(call, measured, tmp_path):
    line = ("--preset", "confidence", "--steps", 1, "--steps", 4, "--out", "x", "--json")
    done = call(*FAST, *line)
    said = done.json
    assert {key: said[key] for key in ("task", "seed", "samples", "left_out")} == {
        "task": "shidoku", "seed": 0, "samples": 4, "left_out": {},
    }  # fmt: skip
    assert len(said["fingerprint"]) == 12
    assert said["files"] == ["x/compare.csv", "x/compare.png"] == files(tmp_path)
    assert said["rows"] == [
        {"preset": "confidence", "options": {"steps": steps},
         "valid": {"value": 1 - 1 / steps, "error": 0.01, "forwards": steps},
         "exact": {"value": 1.0, "error": 0.0, "forwards": steps},
         "front": ["valid", "exact"] if steps == 1 else ["valid"], "measured": True}
        for steps in (1, 4)
    ]  # fmt: skip
    assert (tmp_path / "x" / "compare.png").read_bytes().startswith(b"\x89PNG")
    again = call(*FAST, *line).json
    assert [row.pop("measured") for row in again["rows"]] == [False, False]
    assert len(measured) == 2
    assert json.dumps(again["rows"]) == json.dumps(
        [{key: row[key] for key in row if key != "measured"} for row in said["rows"]]
    )


def test_the_table_marks_the_front(call, monkeypatch, measured, tmp_path):
    some = {name: by_name.known()[name] for name in ("confidence", "maskgit", "token_critic")}
    monkeypatch.setattr(by_name, "known", lambda: some)
    done = call(*FAST, "--steps", 1, "--steps", 4, "--steps", 9, "--steps", 16)
    assert done.code == 0
    rows = {tuple(line.split()[:2]): line for line in done.out.splitlines() if "steps=" in line}
    assert rows["confidence", "steps=1"].split()[-2:] == ["●", "●"]
    assert rows["confidence", "steps=4"].split()[-2:] == ["●", "·"]
    assert "0.889" in rows["confidence", "steps=9"]
    assert rows["confidence", "steps=16"].split()[2:6] == ["16.000", "0.938", "11.000", "1.000"]
    assert done.out.count("forwards") == 2
    assert "0.750" in rows["maskgit", "steps=4"]
    assert "runs/compare-shidoku/compare.png" in done.out
    assert "left out: " in done.err
    assert "token_critic (needs a critic" in done.err
    assert files(tmp_path) == [f"runs/compare-shidoku/compare.{kind}" for kind in ("csv", "png")]


def test_forwards_that_all_qualities_share_are_one_column():
    strategy = presets.confidence(steps=2)
    figures = {"two_sample": Figure(0.6, 0.1, 2.0), "class_accuracy": Figure(0.9, 0.1, 2.0)}
    each = Measurement(Setting("confidence", {"steps": 2}, strategy), figures, measured=True)
    [line] = comparison.table_rows([each], BENCHES["digits"])
    assert list(line)[1:] == [
        "preset", "setting", "forwards", "two_sample", "class_accuracy", "front",
    ]  # fmt: skip


def test_an_interrupted_comparison_goes_on(call, measured, monkeypatch, tmp_path):
    bench = BENCHES["shidoku"]
    line = (*FAST, "--preset", "confidence", "--steps", 1, "--steps", 2, "--steps", 3, "--out", "x")

    def interrupted(*arguments):
        if len(measured) == 2:
            raise KeyboardInterrupt
        return bench.measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setitem(BENCHES, "shidoku", type(bench)(bench.qualities, interrupted, steps=(1,)))
        told = call(*line).error(130)
    assert "2 of 3 settings are in x/compare.csv; the same command continues" in told
    assert files(tmp_path) == ["x/compare.csv"]
    assert call(*line).code == 0
    assert [strategy.commit.plan.steps for strategy in measured] == [1, 2, 3]


def test_what_refuses_the_task_is_an_error_only_where_it_was_asked_for(call, monkeypatch, measured):
    bench = BENCHES["shidoku"]

    def picky(model, strategy, *arguments):
        if strategy.name == "maskgit":
            raise StrategyError("not on boards")
        return bench.measure(model, strategy, *arguments)

    some = {name: by_name.known()[name] for name in ("confidence", "maskgit")}
    monkeypatch.setattr(by_name, "known", lambda: some)
    monkeypatch.setitem(BENCHES, "shidoku", type(bench)(bench.qualities, picky, steps=(1,)))
    said = call(*FAST, "--json").json
    assert said["left_out"]["maskgit"] == "not on boards"
    assert [row["preset"] for row in said["rows"]] == ["confidence"]
    asked = ("--preset", "confidence", "--preset", "maskgit")
    assert "not on boards" in call(*FAST, *asked).error()


def test_small_networks_are_really_compared(call, tmp_path):
    line = ("--preset", "confidence", "--preset", "first_hitting", "--steps", 3, "--json")
    rows = call(*FAST, *line).json["rows"]
    assert [row["valid"]["forwards"] for row in rows] == [3.0, 16.0]
    assert [row["exact"]["forwards"] for row in rows] == [3.0, 11.0]
