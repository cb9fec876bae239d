"""Display of a training run: a progress bar, loss, bound and time left, and samples below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from unmask.cli.ui import screen
from unmask.cli.ui.screen import is_terminal, note

if TYPE_CHECKING:
    from unmask.training import Progress as Report


class TrainingScreen:
    """A progress bar with loss, bound and samples; without a terminal, one line for each bound."""

    def __init__(self, task: str):
        self.live = is_terminal()
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=screen.err(),
        )
        self.bar = self.progress.add_task(task, total=None, left="")
        self.bound, self.below = "", Text("")
        self.panel: RenderableType = Text("")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw on the terminal while the block runs, if there is one."""
        if not self.live:
            yield
            return
        with Live(get_renderable=self._drawn, console=self.progress.console):
            yield

    def report(self, at: Report) -> None:
        """Show the progress that training reports after a step."""
        left = "" if at.seconds_left is None else f"{_duration(at.seconds_left)} left"
        self.progress.update(self.bar, completed=at.step, total=at.total, left=left)
        if at.bound is not None:
            self.bound = f", held-out bound {at.bound:.3f} nats ({at.bound / math.log(2):.3f} bits)"
        self.below = Text(f"loss {at.loss:.3f}{self.bound} per token", style="dim")
        if not self.live and at.bound is not None:
            note(f"step {at.step}/{at.total}: ", str(self.below), f"; {left}" if left else "")
        if self.live and at.texts:
            room = max(8, self.progress.console.height - 3)
            shown = Text("\n".join(at.texts)[: room * self.progress.console.width])
            self.panel = Panel(shown, title=f"answers at step {at.step}", height=room)
        if self.live and at.samples is not None and at.layout is not None:
            from unmask.viz import frame_panel

            # Bar, figures and the cursor's line need room too.
            room, title = max(8, self.progress.console.height - 3), f"samples at step {at.step}"
            self.panel = frame_panel(at.samples, at.layout, title=title, max_lines=room)

    def _drawn(self) -> Group:
        return Group(self.progress, self.below, self.panel)


def _duration(seconds: float) -> str:
    """Return a time such as `about 2 h 5 min`, or `under a minute`."""
    minutes = round(seconds / 60)
    if not minutes:
        return "under a minute"
    hours, minutes = divmod(minutes, 60)
    return "about " + " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes))
