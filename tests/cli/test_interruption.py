"""Commands that are interrupted or killed at any moment lose nothing and leave nothing behind."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import files

PROGRAM = [sys.executable, "-m", "unmask"]
TEMPORARY = re.compile(r"\.[^/]+\.[0-9a-f]{8}\.tmp")
PUZZLES = "2....4....4..1.3\n1..4....2....3..\n" * 20
COMMANDS = {
    "generate": ("generate", "MODEL", "-n", 4, "--out", "a.png", "--out", "a.gif", "--record",
                 "a.safetensors"),
    "compare": ("compare", "MODEL", "--preset", "confidence", "--steps", 1, "--steps", 2,
                "--steps", 3, "--samples", 4, "--out", "figures"),
    "solve": ("solve", "puzzles.txt", "MODEL", "--steps", 4, "--out", "solved.txt"),
}  # fmt: skip
OWN = (".out", ".err", "puzzles.txt")
SIGNALS = [signal.SIGINT, signal.SIGKILL]
OFTEN = pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])

# What a program may do with an exception that it did not expect.
GUARDED = """
import os, signal, threading, time
from unmask.core.interruption import end_at_once, interruptible

class Finalized:
    def __del__(self):
        time.sleep(0.4)

def swallow():
    try:
        time.sleep(0.4)
    except:
        pass

def wait():
    for _ in range(100):
        time.sleep(0.05)

signal.signal(signal.SIGINT, signal.default_int_handler)
end_at_once()
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.{signal})).start()
{outside}
try:
    with interruptible():
        {inside}
        wait()
except KeyboardInterrupt as error:
    print(error, error.code)
"""


def guarded(inside, outside="pass", kind="SIGINT"):
    """Run a guarded block that a signal meets; the exit code, stdout and stderr."""
    script = GUARDED.format(inside=inside, outside=outside, signal=kind)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "inside",
    ["wait()", "swallow()", "Finalized()", "exec('wait()')"],
)
def test_an_interruption_is_not_lost_in_libraries(inside):
    assert guarded(inside) == (0, "Interrupted. 130\n", "")


def test_a_signal_before_the_work_ends_the_process():
    assert guarded("pass", outside="wait()") == (130, "", "Interrupted.\n")


def test_termination_is_told_from_an_interruption():
    assert guarded("pass", kind="SIGTERM") == (0, "Terminated. 143\n", "")
    assert guarded("pass", outside="wait()", kind="SIGTERM") == (143, "", "Terminated.\n")


def test_a_signal_that_the_parent_ignores_is_ignored():
    inside = "time.sleep(0.4); print('worked', flush=True); os._exit(0)"
    script = GUARDED.format(inside=inside, outside="", signal="SIGINT")
    script = script.replace("default_int_handler", "SIG_IGN")
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("worked\n", "")


def caught(process):
    """Whether a process handles SIGTERM, which it does as soon as its own code runs."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the system for handlers")
@pytest.mark.parametrize("moments", [3, OFTEN])
def test_ctrl_c_while_a_command_starts(folders, tmp_path, moments):
    """The first second is that of imports, whose order no caller knows."""
    line = [*PROGRAM, *map(str, COMMANDS["generate"])]
    line[line.index("MODEL")] = str(folders["shidoku"])
    rng = random.Random(0)
    for _ in range(moments):
        process = subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        while not caught(process):
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        time.sleep(rng.choice([0, rng.uniform(0, 1.5)]))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (130, "", "Interrupted.\n")
        assert files(tmp_path) == []


@dataclass
class Zygote:
    """A process from which commands are forked."""

    process: subprocess.Popen[str]

    def run(self, line, folder, kind=None, after=None, fork=True):
        """Run a command, with a signal after so many seconds, or, if None, while a file is written.

        Returns its exit code, stderr and seconds.
        """
        begun = time.monotonic()
        call = {"line": line, "folder": str(folder), "fork": fork}
        print(json.dumps(call), file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        if kind is not None:
            while after is None and not is_writing(folder) and time.monotonic() < begun + 5:
                time.sleep(0.0001)
            time.sleep(after or 0.0)
            with suppress(ProcessLookupError):  # it has ended
                os.kill(child, kind)
        code = int(self.process.stdout.readline())
        return code, (folder / ".err").read_text(), time.monotonic() - begun


@pytest.fixture(scope="session")
def zygote():
    script = Path(__file__).with_name("zygote.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Zygote(process)
        process.stdin.close()


def is_writing(folder):
    """Whether there is a file that a command will rename."""
    return any(each.name.startswith(".") and each.name not in OWN for each in folder.rglob("*"))


def content(folder):
    """The bytes of every file but those of the test."""
    return {name: (folder / name).read_bytes() for name in files(folder) if name not in OWN}


def is_whole(name, found, before, after):
    """Whether a file is as it was or as it becomes; lines are added to a .csv one at a time."""
    lines = after[name].startswith(found) and found.endswith(b"\n")
    return found in (before.get(name), after[name]) or (name.endswith(".csv") and lines)


@pytest.mark.parametrize("moments", [2, OFTEN])
@pytest.mark.parametrize("kind", SIGNALS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_lost_at_any_moment(zygote, folders, tmp_path, name, kind, moments):
    line = [str(folders["shidoku"]) if word == "MODEL" else str(word) for word in COMMANDS[name]]
    fresh, earlier, place = tmp_path / "fresh", tmp_path / "earlier", tmp_path / "place"
    for folder, words in ((earlier, [*line, "--seed", "1"]), (fresh, line)):
        folder.mkdir()
        (folder / "puzzles.txt").write_text(PUZZLES)
        code, err, seconds = zygote.run(words, folder, fork=folder == fresh)
        assert code == 0, err
    (earlier / "figures/compare.csv").unlink(missing_ok=True)  # figures of this seed are to come
    before, after = content(earlier), content(fresh)
    rng = random.Random(name)
    for moment in range(moments):
        shutil.copytree(earlier, place)
        after_seconds = rng.uniform(0, seconds) if moment % 2 else None
        code, err, _ = zygote.run(line, place, kind, after_seconds)
        found = content(place)
        if kind == signal.SIGINT:
            assert code in (0, 130), err
            assert code == 0 or re.fullmatch(r"Interrupted.*\n", err), err
        else:
            assert code in (0, -kind)
        assert code or found == after
        litter = found.keys() - after.keys()
        assert not litter or kind == signal.SIGKILL, litter
        assert all(TEMPORARY.fullmatch(Path(each).name) for each in litter)
        assert before.keys() <= found.keys()
        assert all(is_whole(each, found[each], before, after) for each in found.keys() - litter)
        if moment % 10 == 0:
            assert zygote.run(line, place)[0] == 0
            assert content(place).items() >= after.items()
        shutil.rmtree(place)
