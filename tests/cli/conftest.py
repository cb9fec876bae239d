"""Two small models in place of the bundled ones, and a runner that reads what a command printed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import unmask
from unmask.cli import app
from unmask.models import checkpoint
from unmask.tasks import TASKS, Task


def tiny(task: Task, seed: int) -> unmask.Denoiser:
    """An untrained network for a task, small enough to be made in a moment."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    network = BertForMaskedLM(
        BertConfig(
            vocab_size=task.vocab_size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=81,
            type_vocab_size=task.classes + 1,
            initializer_range=0.5,  # so that clues and classes make a difference
        )
    )
    inner = unmask.wrap(network, mask_id=task.mask_id, length=task.train.shape[1])
    if not task.classes:
        return inner
    return unmask.ClassConditioned(inner, task.classes)


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for name, load in TASKS.items():
        task = load()
        about = {
            "task": name,
            "layout": task.layout.to_dict(),
            "figures": {"bits_per_token": 1.5},
        }
        unmask.save(tiny(task, seed=1), root / name, about=about)
    text = unmask.wrap(tiny(TASKS["shidoku"](), seed=2).net, mask_id=4)
    unmask.save(text, root / "text")
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(autouse=True)
def bundled(folders, monkeypatch, tmp_path):
    """The small models under the bundled names, and an empty folder to work in."""
    names = {name: folders[name] for name in TASKS}
    monkeypatch.setattr(checkpoint, "bundled", lambda: names)
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def error(self, code: int = 2) -> str:
        """The message of a command that failed with this code and printed nothing else."""
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        return self.err


@pytest.fixture
def call() -> Callable[..., Outcome]:
    def call(*arguments: object, given: str | None = None) -> Outcome:
        done = CliRunner().invoke(app, [str(each) for each in arguments], input=given)
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return call


def files(folder: Path) -> list[str]:
    """Everything below a folder, hidden files included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
