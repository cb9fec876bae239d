"""Display of a training run: a progress bar, loss and bound, and samples below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from unmask.cli.ui import screen
from unmask.cli.ui.screen import is_terminal, note

if TYPE_CHECKING:
    from rich.panel import Panel
    from torch import Tensor

    from unmask.training import Progress as Report
    from unmask.viz import Layout


class TrainingScreen:
    """A progress bar with loss, bound and samples; without a terminal, one line for each bound."""

    def __init__(self, task: str):
        self.live = is_terminal()
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
        """Draw on the terminal while the block runs, if there is one."""
        if not self.live:
            yield
            return
        with Live(get_renderable=self._drawn, console=self.progress.console):
            yield

    def report(self, at: Report) -> None:
        """Show the progress that training reports after a step."""
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
