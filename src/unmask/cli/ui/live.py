"""Display of a running generation: a panel that is redrawn, a progress bar, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live
from rich.progress import Progress

from unmask.cli.ui.screen import err, is_terminal, out

if TYPE_CHECKING:
    from rich.panel import Panel
    from torch import Tensor

    from unmask.viz import Layout


@dataclass(frozen=True)
class Counts:
    """How far a generation is."""

    step: int  # of the rows that are generated now
    steps: int  # planned for each row
    done: int  # rows that are finished
    rows: int
    share: float  # of the steps of all rows


Watch = Callable[["Tensor", Counts], None]
"""Shows a frame (B,N) with -1 where unknown."""
PAUSE = 0.05
"""The least seconds that a step is shown, so that the order can be followed."""
MOST_LINES = 120
"""The most lines of a frame that is printed once, whatever the height of the terminal."""


@contextmanager
def watching(
    live: bool,
    layout: Callable[[Tensor], Layout],
    title: str,
    *,
    given: Tensor | None = None,
    columns: int | None = None,
    pause: float = PAUSE,
) -> Iterator[Watch]:
    """Yield a `Watch` that draws a live panel if `live`, else a progress bar in a terminal.

    layout: a function that returns that of a frame, which says the text of its ids.
    """
    if not live:
        with Progress(console=err(), transient=True, disable=not is_terminal()) as bar:
            task = bar.add_task(title, total=1.0)
            yield lambda frame, counts: bar.update(task, completed=counts.share)
        return
    shown = _Panels(layout, title, given, columns)
    with Live(console=out(), auto_refresh=False) as screen:
        clock = time.monotonic()

        def watch_panel(frame: Tensor, counts: Counts) -> None:
            nonlocal clock
            time.sleep(max(0.0, clock - time.monotonic()))
            screen.update(shown.panel(frame, counts, screen.console.height), refresh=True)
            clock = time.monotonic() + pause

        yield watch_panel


def print_frame(
    frame: Tensor,
    layout: Layout,
    title: str,
    *,
    given: Tensor | None = None,
    columns: int | None = None,
) -> None:
    """Print a finished frame (B,N) that was not drawn live."""
    from unmask.viz import frame_panel

    out().print(frame_panel(frame, layout, columns, given=given, title=title, max_lines=MOST_LINES))


class _Panels:
    """Panels of successive frames, with the changes of the last step highlighted."""

    def __init__(
        self,
        layout: Callable[[Tensor], Layout],
        title: str,
        given: Tensor | None,
        columns: int | None,
    ):
        self.layout, self.title, self.given, self.columns = layout, title, given, columns
        self.before: Tensor | None = None

    def panel(self, frame: Tensor, counts: Counts, height: int) -> Panel:
        """The panel of this frame. The last one, which stays, has no highlights."""
        from unmask.viz import frame_panel
        from unmask.viz.terminal import progress

        changed = None
        if self.before is not None and bool((frame < 0).any()):
            changed = (frame != self.before) & (frame >= 0)
        self.before = frame
        some = 0 < counts.done < counts.rows
        layout = self.layout(frame)
        rows_done = f"{counts.done} of {counts.rows} rows done · " if some else ""
        return frame_panel(
            frame,
            layout,
            self.columns,
            changed,
            given=self.given,
            title=self.title,
            subtitle=rows_done + progress(frame, layout, counts.step, counts.steps),
            max_lines=height,
        )
