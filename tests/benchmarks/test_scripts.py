"""Every benchmark starts; those of speed run at tiny sizes and tell finite figures, untimed."""

import math
import subprocess
from pathlib import Path

import pytest
import torch

from unmask import objectives

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))
PRESETS = ["annealed", "annealed, keep=None", "maskgit", "random_order"]


def numbers(cell):
    """All numbers of a cell; a median with its spread is a dict."""
    parts = cell.values() if isinstance(cell, dict) else [cell]
    return [part for part in parts if not isinstance(part, str)]


def all_of(tables):
    return [
        n
        for rows in tables.values()
        for row in rows
        for cell in row.values()
        for n in numbers(cell)
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_tells_the_options(name, run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(name, "--help")
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage:")
    assert "--quick" in printed, "scripts/bench --quick passes it to every benchmark"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_tells_the_machine(name):
    text = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assert "about(" in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_place_for_its_results(name):
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    section = results.split(f"\n### {name}\n")[1].split("\n#")[0]
    assert f"$ scripts/bench {name}" in section


def test_speed(tables, tmp_path):
    found = tables("speed")
    ratios, gains = found.values()
    assert [row["V"] for row in ratios] == [64, 96]
    for row, gain in zip(ratios, gains, strict=True):
        assert set(PRESETS) | {"trunk", "reference"} <= row.keys()
        for name in PRESETS:
            expected = row["reference"]["median"] / row[name]["median"]
            assert gain[name] == pytest.approx(expected)
    assert all(0 < n < math.inf for n in all_of(found))
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_memory_is_that_of_the_logits_looked_at(tables):
    (rows,) = tables("speed", "--memory", file="speed_memory").values()
    found = {row["preset"]: row for row in rows}
    logits = 4 * 2 * 16 * 96 / 2**20  # of every position of the first step: B·N·V float32
    assert found["maskgit"]["largest tensor, MiB"] == pytest.approx(logits)
    assert found["maskgit"]["made by"].startswith("aten.")
    # Sixteen positions in three steps of at most six: the head is asked at 6 of 16.
    assert found["random_order"]["largest tensor, MiB"] == pytest.approx(logits * 6 / 16)


def test_scaling(tables, tmp_path):
    costs, exponents = tables("scaling").values()
    assert [(row["varies"], row["N"], row["T"], row["B"]) for row in costs] == [
        ("N", 8, 2, 2),
        ("N", 16, 2, 2),
        ("T", 8, 1, 2),
        ("T", 8, 2, 2),
        ("B", 8, 2, 1),
        ("B", 8, 2, 2),
    ]
    assert all(0 < n < math.inf for n in all_of({"": costs}))
    assert [row["varies"] for row in exponents] == ["N", "T", "B"]
    assert all(math.isfinite(n) for n in all_of({"": exponents}))
    assert (tmp_path / "scaling.png").exists()


def test_scaling_refuses_more_steps_than_positions(run, tmp_path):
    with pytest.raises(SystemExit, match="T=9 steps end after 8 with N=8 positions"):
        run("scaling", "--quick", "--steps", 9, "--out", tmp_path)


def test_shares_make_up_the_whole(tables):
    (rows,) = tables("shares").values()
    assert [row["preset"] for row in rows] == [*PRESETS[1:], "threshold"]
    for row in rows:
        shares = [row[f"{part}, %"]["median"] for part in ("trunk", "head", "draw", "bookkeeping")]
        assert min(shares) > 0
        assert sum(shares) == pytest.approx(100)
        assert row["T"] == 3, "--quick takes three steps, and threshold has a budget of three"
    assert all(0 < n < math.inf for n in all_of({"": rows}))


@pytest.mark.parametrize("name", ["adaptive_rows", "caches", "masked_lm", "peer_loops"])
def test_figures_are_finite(name, tables):
    if name == "peer_loops":
        pytest.importorskip("diffusers")
    found = tables(name)
    assert found
    assert all(0 <= n < math.inf for n in all_of(found))


def test_conversion_compares_with_a_network_from_nothing(tables, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat, and a dog ran. " * 40)
    (rows,) = tables("conversion", "--text", tmp_path / "text.txt").values()
    found = {row["network"]: row for row in rows}
    assert [*found][:2] == ["left to right, as it is converted", "left to right, trained on"]
    assert {"from nothing", "converted", "converted, annealed"} <= found.keys()
    assert ("converted, blocks of 8" in found) == hasattr(objectives, "block_diffusion")
    for name, row in found.items():
        mean, error = (float(part) for part in row["bits"].split(" ± "))
        assert 0 < mean < 20, name
        assert 0 <= error < 5, name
        beside = row["less than from nothing"]
        assert (beside is None) == (name.startswith(("left", "from nothing")) and "all" not in name)
    mine, other = (float(found[n]["bits"].split()[0]) for n in ("converted", "from nothing"))
    less = float(found["converted"]["less than from nothing"].split()[0])
    assert less == pytest.approx(other - mine, abs=2e-3)


def test_gpu_runs_at_tiny_sizes_on_a_cpu(tables):
    found = tables("gpu", "--device", "cpu")
    assert all(n is None or math.isfinite(n) for n in all_of(found))


def test_an_exact_cache_changes_no_token(tables):
    (rows,) = tables("caches").values()
    changed = {row["way"]: row["tokens changed"] for row in rows}
    assert changed["exact cache"] == 0
    passed = {row["way"]: row["positions passed"] for row in rows}
    assert passed["exact cache"] < passed["dual, approximate"] < passed["prefix, approximate"] < 1


def test_engine(tables):
    (rows,) = tables("engine").values()
    found = {row["way"]: row for row in rows}
    arriving, by_strategy, alone = "arriving", "a batch a strategy", "one after another"
    assert list(found) == [arriving, "at once", by_strategy, "one batch, one strategy", alone]
    assert {way: row["goal"] for way, row in found.items() if row["goal"]} == {
        by_strategy: 0.9,
        alone: 4,
    }
    for row in rows:
        speeds = [each["positions a second"]["median"] for each in (found[arriving], row)]
        assert row["arriving / it"] == pytest.approx(speeds[0] / speeds[1])
        assert 0 <= row["padding, %"] < 10
    assert all(n is None or 0 <= n < math.inf for n in all_of({"": rows}))
    assert found[alone]["padding, %"] == 0
    assert found["at once"]["passes"] < found[alone]["passes"]
    assert found[arriving]["passes"] < found[alone]["passes"]


def test_engine_finds_ways_that_differ(helper):
    engine, row = helper("engine"), torch.tensor([1, 2])
    made = {"arriving": {0: row, 1: row}, "at once": {1: row}}
    engine.check(made, 2)
    with pytest.raises(AssertionError, match="arriving: 2 of 3 requests came back"):
        engine.check(made, 3)
    made["at once"] = {1: row.flip(0)}
    with pytest.raises(
        AssertionError, match=r"at once: other tokens than arriving at requests \[1"
    ):
        engine.check(made, 2)


def test_serving(tables):
    (rows,) = tables("serving").values()
    served, engine, alone = rows
    assert (served["served / it"], alone["way"]) == (1, "one after another")
    assert served["passes"] is None
    assert 0 < engine["passes"] < alone["passes"]


def test_serving_finds_ways_that_differ(helper):
    serving = helper("serving")
    serving.check({"served": ["a", "b"], "engine": ["a", "b"]})
    with pytest.raises(AssertionError, match=r"engine: other texts than served at requests \[1\]"):
        serving.check({"served": ["a", "b"], "engine": ["a", "c"]})


def test_engine_refuses_lengths_in_the_wrong_order(run, capsys):
    with pytest.raises(SystemExit):
        run("engine", "--quick", "--lengths", 9, 3)
    assert "pass the shortest first" in capsys.readouterr().err


def test_markdown_can_be_copied(run, tmp_path):
    printed = run("shares", "--quick", "--markdown", "--out", tmp_path).splitlines()
    head = next(i for i, line in enumerate(printed) if line.startswith("| V "))
    assert set(printed[head + 1]) <= set("| -")
    assert {line.count("|") for line in printed[head : head + 6]} == {printed[head].count("|")}


def test_options_beat_those_of_quick(tables):
    (rows,) = tables("shares", "--vocab", 48).values()
    assert {row["V"] for row in rows} == {48}


def bench(*options):
    return subprocess.run(
        ["bash", "scripts/bench", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_bench_lists_every_benchmark():
    said = bench("--help")
    assert said.returncode == 0
    assert said.stdout.split("NAME is one of:")[1].split() == SCRIPTS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing"], "no benchmark nothing; there are: adaptive_rows"),
        (["_report"], "no benchmark _report"),
        (["--fast"], "unknown option --fast"),
        (["--quick", "speed"], "scripts/bench NAME --quick"),
    ],
)
def test_bench_refuses_what_it_does_not_know(options, words):
    said = bench(*options)
    assert said.returncode == 1
    assert words in said.stderr
