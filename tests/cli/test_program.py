"""The program as a whole: help, exit codes, terminals, and files never left half-written."""

import errno
import os
import pty
import random
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import unmask
from unmask.cli import app
from unmask.cli.commands import (
    bench_serve,
    chat,
    compare,
    complete,
    demo,
    evaluate,
    fill,
    generate,
    infill,
    info,
    score,
    serve,
    show,
    solve,
    train,
)
from unmask.cli.options import SHARED, entries
from unmask.errors import DenoiserError, MissingExtraError

from .conftest import files

COMMANDS = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module
    for module in (
        demo,
        generate,
        infill,
        solve,
        fill,
        complete,
        chat,
        show,
        info,
        train,
        evaluate,
        compare,
        score,
        serve,
        bench_serve,
    )
}
PROGRAM = [sys.executable, "-m", "unmask"]

# Runs the command line, and says what it loaded that takes a while.
LIGHT = """
import sys
from unmask.cli import main
try:
    main()
finally:
    heavy = {"torch", "numpy", "transformers", "PIL", "fastapi", "httpx"} & sys.modules.keys()
    assert not heavy, heavy
"""


def test_help_teaches(call):
    told = call("--help").out
    assert "Exit codes: 0, success; 1, an unexpected failure" in told
    assert "130, interrupted" in told
    for name in COMMANDS:
        assert re.search(rf"^│ {name} +\w", told, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_worked_examples(call, name):
    told = call(name, "--help")
    assert told.code == 0
    assert "Examples" in told.out
    lines = [line for _, line in COMMANDS[name].EXAMPLES]
    assert 2 <= len(lines) <= 4
    flat = " ".join(told.out.split())
    for line in lines:
        assert f"unmask {name}" in line
        assert line in flat


@pytest.mark.parametrize(
    "line", [line for module in COMMANDS.values() for _, line in module.EXAMPLES]
)
def test_examples_name_options_that_exist(line):
    words = re.split(r"[;|<>]", line)
    for command in (each.split() for each in words if "unmask " in each):
        name = command[command.index("unmask") + 1]
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        for word in command:
            if word.startswith("--"):
                assert f" {word} " in told, (line, word)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_text_describes_an_option(name):
    offered = {each.name.rstrip("_") for each in get_command(app).commands[name].params}
    assert entries(COMMANDS[name].OPTIONS).keys() <= offered


def test_every_shared_text_is_shared():
    own = [entries(module.OPTIONS) for module in COMMANDS.values()]
    taken = Counter(
        each.name.rstrip("_")
        for name, described in zip(COMMANDS, own, strict=True)
        for each in get_command(app).commands[name].params
        if each.name.rstrip("_") not in described
    )
    assert all(taken[name] > 1 for name in entries(SHARED))


def test_help_does_not_wait_for_torch():
    for arguments in (
        ["--help"],
        *([name, "--help"] for name in ("generate", "fill", "score", "serve")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", LIGHT, *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Examples" in done.stdout or "Exit codes" in done.stdout


def test_version(call):
    assert call("--version").out == f"unmask {unmask.__version__}\n"


def test_usage_errors_exit_with_2(call):
    assert "--seed" in call("generate", "digits", "--sedd", "3").error()
    assert "Did you mean 'generate'?" in call("genrate").error()
    assert "MODEL" in call("generate").error()


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (MissingExtraError("type: pip install 'unmask[viz]'"), 3, "pip install 'unmask[viz]'"),
        (DenoiserError("the network raised"), 2, "Error: the network raised"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.png"), 1, "a.png: No space left"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "standard output: No space left"),
        (MemoryError("Unable to allocate 7 TiB"), 1, "memory ran out (Unable to allocate 7 TiB): "),
        (RuntimeError("odd"), 1, "RuntimeError: odd\nThis is unexpected; --debug shows where."),
    ],
)
def test_exit_codes(call, monkeypatch, raised, code, words):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr("unmask.cli.runs.generation_job.emerge", fail)
    assert words in call("generate", "digits").error(code)
    debug = call("generate", "digits", "--debug")
    assert debug.code == code
    assert "Traceback" in debug.err
    assert words in debug.err


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.safetensors"])
def test_a_full_disk_leaves_the_earlier_file(call, monkeypatch, tmp_path, name):
    (tmp_path / name).write_text("earlier")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert "No space left" in call("generate", "shidoku", "-n", 1, "--out", name).error(1)
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "earlier"


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_that_fills_keeps_what_was_finished(call, monkeypatch, tmp_path, seed):
    names = ["a.gif", "a.png", "a.safetensors"]
    line = ["generate", "shidoku", "-n", 2, "--steps", 3, *(w for n in names for w in ("--out", n))]
    assert call(*line).code == 0
    after = {name: (tmp_path / name).read_bytes() for name in names}
    for name in names:
        (tmp_path / name).write_bytes(b"earlier")
    free, write = random.Random(seed).randrange(sum(map(len, after.values()))), Path.write_bytes

    def until_full(path, data):
        nonlocal free
        write(path, data[:free])
        if any(data):  # not the trial before the work, which is taken away again
            free -= len(data)
        if free < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", until_full)
    error = call(*line).err
    assert files(tmp_path) == names
    found = {name: (tmp_path / name).read_bytes() for name in names}
    done = [name for name in names if found[name] == after[name]]
    assert done == names[: len(done)]
    assert error == f"Error: {names[len(done)]}: No space left on device\n"
    assert all(found[name] == b"earlier" for name in names[len(done) :])


def test_the_program_in_a_pipe_without_unicode(folders):
    line = [*PROGRAM, "generate", folders["digits"], "-n", "1", "--steps", "2"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, capture_output=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert b"1 row in 2 steps" in done.stdout
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""


def test_standard_output_that_is_full_is_told():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"Error: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_streams_that_are_closed_are_no_failure_of_ours(closed):
    line = f"{shlex.join([*PROGRAM, 'infill', 'shidoku', '--out', 'a.jpg'])} {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"pass a name that ends in .png" in done.stderr


def in_terminal(line, until, send=None):
    """Run in a pseudo-terminal; once `until` is on the screen, send a signal. Code and output."""
    mine, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        line,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        # Where the tests run in the background, Ctrl-C is ignored, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    os.close(theirs)
    shown, deadline, sent = b"", time.monotonic() + 120, send is None
    while time.monotonic() < deadline:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                chunk = os.read(mine, 65536)
            except OSError:  # the terminal is gone with its last process
                break
            shown += chunk
        if not sent and until in shown:
            process.send_signal(send)
            sent = True
    os.close(mine)
    return process.wait(30), shown.decode()


def test_steps_are_shown_live_until_ctrl_c(folders, tmp_path):
    line = [*PROGRAM, "generate", folders["digits"], "--steps", "64", "--out", "a.gif"]
    code, shown = in_terminal(line, b"step 3/64", signal.SIGINT)
    assert code == 130
    for words in ("step 1/64", "step 2/64", "Interrupted."):
        assert words in shown
    assert "Traceback" not in shown
    assert files(tmp_path) == []
