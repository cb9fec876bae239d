"""`unmask train`: the bundled models, made again, or with another seed."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from unmask.cli import options
from unmask.cli.names import task_name
from unmask.cli.screen import err, note, out, print_json, say, watched
from unmask.cli.table import figures

if TYPE_CHECKING:
    from rich.panel import Panel

    from unmask.training import Progress as Report

EXAMPLES = [
    ("Train the Shidoku model, in minutes on two cores", "unmask train shidoku"),
    ("Go on after Ctrl-C", "unmask train shidoku --resume"),
    ("Another seed, in a folder of your own", "unmask train digits --seed 1 --out my-digits"),
]
HOME = Path("runs")


def command(
    task: options.TaskName,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where the model goes; default runs/TASK."),
    ] = None,
    seed: options.Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Training steps; default: the task's recipe."),
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Train a model on a built-in task, showing loss, held-out bound and samples as it goes.

    Ctrl-C saves a checkpoint; --resume goes on from it.
    """
    task_name(task)
    folder = HOME / task if out is None else out
    begun = time.perf_counter()
    try:
        result = _train(task, folder, seed, resume, steps)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped, and saved as far as it got. Go on with: {_again(task, out, seed, steps)}"
        ) from None
    seconds = round(time.perf_counter() - begun, 1)
    if json:
        print_json(
            {"task": task, "folder": str(folder), "seconds": seconds, "figures": result}
        )
        return
    _tell(task, folder, seconds, result)


def _train(
    task: str, folder: Path, seed: int, resume: bool, steps: int | None
) -> dict[str, Any]:
    from unmask.training import train

    with _Screen(task) as screen:
        return train(task, folder, seed=seed, resume=resume, steps=steps, report=screen.report)


def _again(task: str, out: Path | None, seed: int, steps: int | None) -> str:
    """The command line that goes on with this training."""
    extra = {"--out": out, "--seed": seed or None, "--steps": steps}
    flags = [f" {name} {value}" for name, value in extra.items() if value is not None]
    return f"unmask train {task}{''.join(flags)} --resume"


def _tell(task: str, folder: Path, seconds: float, result: dict[str, Any]) -> None:
    say((f"Trained {task} in {seconds:,.0f} s", "bold"), " and saved it in ", (str(folder), "cyan"))
    out().print(figures([{k: v for k, v in result.items() if not isinstance(v, dict | list)}]))
    say("Try: ", (f"unmask generate {folder}", "cyan"))
    say("     ", (f"unmask evaluate {task} --model {folder}", "cyan"))


class _Screen:
    """A bar with loss and bound, the samples below it; without a terminal, a line now and then."""

    def __init__(self, task: str):
        self.task, self.samples = task, Text("")
        self.bound: float | None = None
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=err(),
        )
        self.bar = self.progress.add_task(task, total=None, figures="")
        self.live = Live(self, console=err(), refresh_per_second=4, transient=False)

    def __enter__(self) -> _Screen:
        if watched():
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if watched():
            self.live.stop()

    def __rich__(self) -> Group:
        return Group(self.progress, self.samples)
