"""`unmask train`: the bundled models, made again, or with another seed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from unmask.cli import options, screen
from unmask.cli.screen import note, print_json, say, waiting, watched
from unmask.cli.table import facts
from unmask.errors import InputError

if TYPE_CHECKING:
    from rich.panel import Panel
    from torch import Tensor

    from unmask.training import Progress as Report
    from unmask.viz import Layout

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
    """Train a model on a built-in task.

    Loss, held-out bound and samples are shown as it goes. After Ctrl-C, --resume goes on from the
    last checkpoint.
    """
    folder = HOME / task if out is None else out
    _check_folder(folder)
    begun = time.perf_counter()
    try:
        result = _train(task, folder, seed, resume, steps)
    except KeyboardInterrupt:
        again = _again(task, out, seed, steps)
        raise KeyboardInterrupt(f"Stopped. Go on from the last checkpoint with: {again}") from None
    seconds = round(time.perf_counter() - begun, 1)
    if json:
        print_json({"task": task, "folder": str(folder), "seconds": seconds, "figures": result})
    else:
        _tell(task, folder, seconds, result)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: pass a folder, such as --out {HOME / 'mine'}")


def _train(task: str, folder: Path, seed: int, resume: bool, steps: int | None) -> dict[str, Any]:
    with waiting("Starting"):
        from unmask.training import train

    view = _Screen(task)
    with view.shown():
        return train(task, folder, seed=seed, resume=resume, steps=steps, report=view.report)


def _again(task: str, out: Path | None, seed: int, steps: int | None) -> str:
    """The command line that goes on with this training."""
    extra = {"--out": out, "--seed": seed or None, "--steps": steps}
    flags = [f" {name} {quote(str(value))}" for name, value in extra.items() if value is not None]
    return f"unmask train {task}{''.join(flags)} --resume"


def _tell(task: str, folder: Path, seconds: float, result: dict[str, Any]) -> None:
    say((f"Trained {task} in {seconds:,.0f} s", "bold"), ", saved in ", (str(folder), "cyan"))
    screen.out().print(facts(result))
    say("Try: ", (f"unmask generate {folder}", "cyan"))
    say("     ", (f"unmask evaluate {task} --model {folder}", "cyan"))


class _Screen:
    """A bar with loss and bound, the samples below it; without a terminal, a line now and then."""

    def __init__(self, task: str):
        self.live = watched()
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=screen.err(),
        )
        self.bar = self.progress.add_task(task, total=None)
        self.bound, self.below = "", Text("")
        self.panel: RenderableType = Text("")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """On the screen while the block runs, where there is a screen."""
        if not self.live:
            yield
            return
        with Live(get_renderable=self._drawn, console=self.progress.console):
            yield

    def report(self, at: Report) -> None:
        """Take up what training reports after a step."""
        self.progress.update(self.bar, completed=at.step, total=at.total)
        if at.bound is not None:
            self.bound = f", held-out bound {at.bound:.3f} nats ({_bits(at.bound):.3f} bits)"
        self.below = Text(f"loss {at.loss:.3f}{self.bound} per token", style="dim")
        if not self.live and at.bound is not None:
            note(f"step {at.step}/{at.total}: ", str(self.below))
        if self.live and at.samples is not None and at.layout is not None:
            self.panel = self._samples(at, at.samples, at.layout)

    def _samples(self, at: Report, samples: Tensor, layout: Layout) -> Panel:
        from unmask.viz import frame_panel

        # Bar, figures and the cursor's line need room too.
        room = max(8, self.progress.console.height - 3)
        return frame_panel(samples, layout, title=f"samples at step {at.step}", max_lines=room)

    def _drawn(self) -> Group:
        return Group(self.progress, self.below, self.panel)


def _bits(nats: float) -> float:
    return nats / math.log(2)
