"""Outputs and sizes that cannot work are told in one line, before a network is loaded."""

import errno
import os
from pathlib import Path

import pytest

from unmask.core import files as core_files

from ..conftest import files

PUZZLE = "1..4..2..3..4..1"
WRITING = {
    "generate": ("generate", "shidoku", "--out", "{}.png"),
    "record": ("generate", "shidoku", "--record", "{}.safetensors"),
    "infill": ("infill", "shidoku", "--puzzle", PUZZLE, "--out", "{}.gif"),
    "solve": ("solve", "puzzles.txt", "shidoku", "--out", "{}.txt"),
    "compare": ("compare", "shidoku", "--out", "{}"),
    "demo": ("demo", "--out", "{}"),
    "train": ("train", "shidoku", "--steps", "1", "--out", "{}"),
}


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr("unmask.models.load", lambda name: pytest.fail("loaded first"))
    (tmp_path / "puzzles.txt").write_text(PUZZLE)


@pytest.fixture
def disk(monkeypatch):
    """Let every new file fail with an error of the system."""

    def fail(number):
        def refuse(path, data):
            raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(Path, "write_bytes", refuse)

    return fail


def told(call, name, where="there"):
    error = call(*(word.format(where) for word in WRITING[name]))
    assert error.err.count("\n") == 1
    assert ".tmp" not in error.err
    return error


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_that_refuses_files(call, disk, tmp_path, name):
    disk(errno.EROFS)
    error = told(call, name, "deep/there").error()
    assert "Error: --out deep/there" in error.replace("--record", "--out")
    assert "cannot be written (Read-only file system): pass another name" in error
    assert files(tmp_path) == ["puzzles.txt"]


@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_is_full(call, disk, tmp_path, name):
    disk(errno.ENOSPC)
    error = told(call, name).error(1)
    assert error.startswith("Error: there")
    assert "No space left on device" in error
    assert files(tmp_path) == ["puzzles.txt"]


@pytest.mark.parametrize("name", ["generate", "record", "infill", "solve"])
def test_a_file_that_is_protected(call, monkeypatch, tmp_path, name):
    monkeypatch.setattr(core_files.os, "access", lambda path, mode: mode != os.W_OK)
    for suffix in (".png", ".safetensors", ".gif", ".txt"):
        (tmp_path / f"there{suffix}").write_text("earlier")
    assert "cannot be written (Permission denied)" in told(call, name).error()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that takes no files")
@pytest.mark.parametrize(
    "line",
    [
        ("train", "--data", "puzzles.txt", "--out", "/proc/x"),
        ("train", "shidoku", "--out", "/proc/x/y"),
        ("init", "/proc/x.yaml"),
        ("init", "/proc/x/y.yaml"),
    ],
)
def test_a_folder_of_the_system_is_refused_before_anything_is_read(call, monkeypatch, line):
    monkeypatch.setattr("unmask.data.read", lambda *_, **__: pytest.fail("read first"))
    error = call(*line).error()
    assert "/proc/x" in error
    assert "cannot be written (No such file or directory): pass another name" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        ("generate", "shidoku", "--out", "a.png", "--out", "./a.png"),
        ("generate", "shidoku", "--out", "a.safetensors", "--record", "a.safetensors"),
        ("solve", "puzzles.txt", "shidoku", "--out", "./puzzles.txt"),
    ],
)
def test_no_file_is_named_twice(call, tmp_path, line):
    assert "names it twice: pass another name" in call(*line).error()
    assert files(tmp_path) == ["puzzles.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", 10**9], "-n 1000000000: rows of 16 positions take 1,024 GB or more, and this"),
        (["-n", 10**20], "--number=100000000000000000000: pass an integer below 2**63"),
        (["--steps", 10**30], "pass an integer below 2**63"),
        (["--seed", 10**30], "pass an integer from 0 to 2**63 - 1"),
        (["--seed", -1], "seed=-1: pass an integer from 0 to 2**63 - 1"),
        (["--length", 10**30], "shidoku generates 16 positions only"),
        (["--max-rows", 0], "--max-rows=0: pass an integer of 1 or more"),
        (["--max-tokens", 10**30], "pass an integer below 2**63"),
    ],
)
def test_numbers_that_cannot_work(call, monkeypatch, options, words):
    monkeypatch.setattr("unmask.cli.runs.generation_job._memory", lambda: 64 * 10**9)
    error = call("generate", "shidoku", *options).error()
    assert words in error
    assert error.count("\n") == 1


def test_lengths_that_cannot_work(call, folders, monkeypatch):
    monkeypatch.setattr("unmask.cli.runs.generation_job._memory", lambda: 64 * 10**9)
    for length, words in ((10**30, "below 2**63"), (10**12, "-n 16: rows of 1,000,000,000,000")):
        assert words in call("generate", folders["text"], "--length", length).error()


@pytest.mark.parametrize("number", [1, 16])
def test_a_length_of_which_no_row_fits_is_told_the_length_that_does(
    call, folders, monkeypatch, number
):
    monkeypatch.setattr("unmask.cli.runs.generation_job._memory", lambda: 64 * 10**9)
    line = ("generate", folders["text"], "-n", number, "--length")
    error = call(*line, 10**13).error()
    assert f"-n {number}: rows of 10,000,000,000,000 positions" in error
    assert "not even one fits; pass a length of 250,000,000 or less" in error
    assert "or fewer" not in error
    assert "pass -n 1 or fewer" in call(*line[:3], 16, "--length", 5 * 10**8).error()


def test_completions_that_no_memory_holds(call, monkeypatch):
    monkeypatch.setattr("unmask.cli.runs.generation_job._memory", lambda: 64 * 10**9)
    line = ("infill", "shidoku", "--puzzle", PUZZLE, "-n")
    assert "-n 1000000000: rows of 16 positions take 1,024 GB" in call(*line, 10**9).error()


@pytest.mark.parametrize("seed", [-1, 10**30])
@pytest.mark.parametrize(
    "line",
    [("demo",), ("solve", "puzzles.txt", "shidoku"), ("evaluate", "shidoku"),
     ("compare", "shidoku"), ("score", "shidoku", "puzzles.txt")],
)  # fmt: skip
def test_seeds_of_every_command(call, line, seed):
    assert (
        f"seed={seed}: pass an integer from 0 to 2**63 - 1" in call(*line, "--seed", seed).error()
    )
