"""Runs that are stopped, killed, go on and are extended: nothing that was finished is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import unmask
from unmask.errors import CheckpointError, InputError, SeedError
from unmask.models.checkpoint import read_card
from unmask.training import RECIPES, stopping, train
from unmask.training.trainer import keep_newest, latest

ROOT = Path(__file__).parents[2]
INT, KILL, TERM = int(signal.SIGINT), int(signal.SIGKILL), int(signal.SIGTERM)
FULL_DISK = 0  # of kills.py


def killed(folder, seed, moments, *signals):
    script = Path(__file__).with_name("kills.py")
    words = [sys.executable, script, folder, seed, moments, *signals]
    found = subprocess.run(
        list(map(str, words)),
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_a_few_random_moments(tmp_path):
    assert killed(tmp_path, 5, 2, INT, KILL, FULL_DISK)["stopped"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("signals", [(INT, TERM), (KILL,), (FULL_DISK,)])
def test_a_hundred_random_moments(signals, tmp_path):
    assert killed(tmp_path, 0, 100, *signals)["stopped"] == 100


@pytest.fixture(autouse=True)
def heeded():
    """Signals as a terminal sends them; a shell lets a job in the background ignore Ctrl-C."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def at_step(step, action):
    def report(progress):
        if progress.step == step:
            action()

    return report


def same(a, b):
    one, other = (unmask.load(folder).state_dict() for folder in (a, b))
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_checkpoint(number, tmp_path):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(
            "shidoku",
            tmp_path / "m",
            steps=20,
            report=at_step(1, lambda: os.kill(os.getpid(), number)),
        )
    assert stopped.value.code == 128 + number
    assert latest(tmp_path / "m.training").name == "checkpoint-2"
    assert signal.getsignal(number) is before
    seen = []
    train("shidoku", tmp_path / "m", steps=20, resume=True, report=lambda at: seen.append(at.step))
    assert seen == list(range(3, 21))


def test_a_signal_is_answered_at_once(tmp_path, capsys, monkeypatch):
    told = []

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        told.append(capsys.readouterr().err)

    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(KeyboardInterrupt):
            train("shidoku", tmp_path / rank, steps=20, report=at_step(1, interrupt))
    line = "Stopping: this step ends and its checkpoint is written; Ctrl-C again stops at once.\n"
    assert told == [line, ""]


def test_a_second_signal_is_not_waited_for(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=at_step(1, twice))
    assert latest(tmp_path / "m.training") is None


def test_another_thread_takes_no_signals(tmp_path):
    thread = threading.Thread(target=train, args=("shidoku", tmp_path / "m"), kwargs={"steps": 2})
    thread.start()
    thread.join()
    assert (tmp_path / "m").is_dir()


def test_checkpoints_come_by_time_too(tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "SECONDS", 0.0)
    numbers = []

    def report(at):
        newest = latest(tmp_path / "m.training")
        numbers.append(newest and newest.name)

    train("shidoku", tmp_path / "m", steps=20, report=report)
    assert numbers[2:4] == ["checkpoint-2", "checkpoint-3"]


def test_older_checkpoints_are_deleted_when_a_newer_one_stands(tmp_path):
    """A half-written one counts for nothing, so that two complete ones are always there."""
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=at_step(6, interrupt))
    work = tmp_path / "m.training"
    half = work / "checkpoint-5"
    half.mkdir()
    (half / "optimizer.pt").write_bytes(b"cut")
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, resume=True, report=at_step(8, interrupt))
    assert sorted(path.name for path in work.iterdir()) == [
        "checkpoint-4", "checkpoint-6", "run.json",
    ]  # fmt: skip


def interrupt():
    raise KeyboardInterrupt


def test_a_finished_model_is_not_overwritten_without_a_word(tmp_path):
    train("shidoku", tmp_path / "m", steps=4)
    card = read_card(tmp_path / "m")
    never = at_step(1, lambda: pytest.fail("a step was taken"))
    with pytest.raises(CheckpointError, match=r"has a finished model: pass --overwrite"):
        train("shidoku", tmp_path / "m", steps=4, report=never)
    for steps in (3, 4):
        with pytest.raises(CheckpointError, match=r"is finished: its run took 4 steps; pass"):
            train("shidoku", tmp_path / "m", steps=steps, resume=True, report=never)
    with pytest.raises(InputError, match="pass one"):
        train("shidoku", tmp_path / "m", steps=4, resume=True, overwrite=True)
    assert read_card(tmp_path / "m") == card
    train("shidoku", tmp_path / "m", steps=4, seed=1, overwrite=True)
    assert read_card(tmp_path / "m").about["seed"] == 1


def test_an_unfinished_run_may_be_started_again(tmp_path):
    train("shidoku", tmp_path / "straight", steps=6, seed=1)
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=at_step(5, interrupt))
    train("shidoku", tmp_path / "m", steps=6, seed=1, overwrite=True)
    assert same(tmp_path / "m", tmp_path / "straight")


def test_an_unfinished_run_is_extended_by_the_schedule_of_the_longer(tmp_path):
    """From the checkpoint on it is a run of the new length: learning rates are those of one."""
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=at_step(5, interrupt))
    with pytest.raises(CheckpointError, match=r"4 steps are done: pass --steps 4 or more"):
        train("shidoku", tmp_path / "m", steps=3, resume=True)
    rates = rates_of(tmp_path / "m", steps=30, resume=True)
    whole = rates_of(tmp_path / "whole", steps=30)
    assert rates == whole[4:]
    assert read_card(tmp_path / "m").about["recipe"]["steps"] == 30


def rates_of(folder, **options):
    """Train, and return the learning rate of every step."""
    from transformers import TrainerCallback

    from unmask.training.stopping import Stopping

    rates = []

    class Rates(Stopping):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **_):
            rates.append(optimizer.param_groups[0]["lr"])

    assert issubclass(Rates, TrainerCallback)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unmask.training.run.Stopping", Rates)
        train("shidoku", folder, **options)
    return rates


def test_a_finished_model_is_extended_from_its_weights(tmp_path):
    train("shidoku", tmp_path / "m", steps=10)
    first = unmask.load(tmp_path / "m").state_dict()
    rates = rates_of(tmp_path / "m", steps=16, resume=True)
    assert len(rates) == 6
    assert rates == rates_of(tmp_path / "six", steps=6)
    later = unmask.load(tmp_path / "m").state_dict()
    assert read_card(tmp_path / "m").about["recipe"]["steps"] == 16
    moved = max(float((later[key] - first[key]).abs().max()) for key in first)
    assert 0 < moved < 0.1
    with pytest.raises(CheckpointError, match="seed was 0, is 1"):
        train("shidoku", tmp_path / "m", steps=20, seed=1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=40, resume=True, report=at_step(7, interrupt))
    assert latest(tmp_path / "m.training").name == "checkpoint-6"
    seen = []
    train("shidoku", tmp_path / "m", steps=40, resume=True, report=lambda at: seen.append(at.step))
    assert seen == list(range(7, 25))
    assert read_card(tmp_path / "m").about["recipe"]["steps"] == 40


def test_a_run_without_its_note_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=at_step(5, interrupt))
    (tmp_path / "m.training" / "run.json").unlink()
    with pytest.raises(CheckpointError, match=r"run\.json cannot be read.*--overwrite"):
        train("shidoku", tmp_path / "m", steps=20, resume=True)


def test_a_seed_beyond_numpys_is_refused(tmp_path):
    with pytest.raises(SeedError, match=r"seed=4294967296: pass an integer from 0 to 2\*\*32 - 1"):
        train("shidoku", tmp_path / "m", steps=2, seed=2**32)
    train("shidoku", tmp_path / "m", steps=2, seed=2**32 - 1)


def test_a_run_that_cannot_start_again_loses_nothing(tmp_path):
    stop = at_step(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train("shidoku", tmp_path / "m", steps=20, report=stop)
    before = latest(tmp_path / "m.training")
    broken = replace(RECIPES["shidoku"], backbone={"model_type": "bert", "hidden_size": 33})
    with pytest.raises(InputError):
        train("shidoku", tmp_path / "m", recipe=broken, steps=20, overwrite=True)
    assert latest(tmp_path / "m.training") == before
    train("shidoku", tmp_path / "m", steps=3, overwrite=True)
    assert not (tmp_path / "m.training").exists()


def test_folders_of_others_stay(tmp_path):
    for name in ("checkpoint-1", "checkpoint-2", "checkpoint-best"):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "unmask.json").touch()
    (tmp_path / "checkpoint-500").mkdir()
    for limit in (None, 0, -1):
        keep_newest(tmp_path, limit)
        assert len(list(tmp_path.iterdir())) == 4
    keep_newest(tmp_path, 1)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["checkpoint-2", "checkpoint-500", "checkpoint-best"]
    assert latest(tmp_path).name == "checkpoint-2"
