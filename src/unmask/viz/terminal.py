"""Frames in the terminal: images as half blocks, boards in box-drawing lines, text as it is.

S frames, B rows, N positions. Without colours (a pipe, NO_COLOR) images fall back to shades.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.text import Text
from torch import Tensor

from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.glyphs import Drawing, Way
from unmask.viz.highlights import check_frames, highlights, looks, share_known
from unmask.viz.layout import Layout
from unmask.viz.writing import Writing, has_words

DELAY = 0.12
GAP = 2
# Lines of a terminal that the tiles cannot have: two of the border, "and 3 more", the cursor's.
CHROME = 4
DIM = "rgb({},{},{})".format(*palette.NIGHT_BOX)


def frame_panel(
    frame: Tensor,
    layout: Layout,
    columns: int | None = None,
    changed: Tensor | None = None,
    *,
    given: Tensor | None = None,
    title: str = "",
    subtitle: str = "",
    max_lines: int | None = None,
) -> Panel:
    """One frame (B, N), -1 where unknown, as a rich panel.

    columns: tiles in a line, where so many fit; by default lines are filled evenly. changed
    (B, N) bool: cells to highlight. given (B, N) bool: clues, in another colour. max_lines: height
    of the terminal, beyond which rows are left out and counted. Raises InputError for shapes that
    do not fit.
    """
    if columns is not None and columns < 1:
        raise InputError(f"columns={columns}: a panel has at least one column")
    # Here rather than while drawing: bad input is an error of the call that brought it.
    looks(layout, frame, given, changed)
    return Panel(
        _Tiles(frame, layout, columns, given, changed, max_lines, cell_len(subtitle) + 2),
        title=title or None,
        subtitle=subtitle or None,
        border_style=DIM,
        padding=(0, 1),
        expand=False,
    )


def replay(
    frames: Tensor,
    layout: Layout,
    console: Console | None = None,
    delay: float = DELAY,
    *,
    columns: int | None = None,
    given: Tensor | None = None,
    title: str = "",
) -> None:
    """Show frames (S, B, N) one after the other, `delay` seconds each.

    Where the console is no terminal, the last frame alone is printed. given (B, N) bool: clues.
    Raises InputError for shapes that do not fit or a negative delay.
    """
    check_frames(frames)
    if not delay >= 0:
        raise InputError(f"delay={delay}: pass the seconds a frame stays, such as delay={DELAY}")
    console = console or Console()
    live = console.is_terminal and not console.is_dumb_terminal
    fresh = highlights(frames, given)

    def panel(step: int) -> Panel:
        return frame_panel(
            frames[step],
            layout,
            columns,
            fresh[step],
            given=given,
            title=title,
            subtitle=progress(frames[step], layout, step, len(frames) - 1),
            max_lines=console.height if live else None,
        )

    if not live:
        console.print(panel(len(frames) - 1))
        return
    with Live(panel(0), console=console, auto_refresh=False) as screen:
        for step in range(1, len(frames)):
            time.sleep(delay)
            screen.update(panel(step), refresh=True)


def progress(frame: Tensor, layout: Layout, step: int, steps: int) -> str:
    """Return the line under a frame (B,N): `step 3/16 · 42% known`."""
    return f"step {step}/{steps} · {share_known(frame, layout):.0%} known"


@dataclass(frozen=True, eq=False)
class _Tiles:
    """The inside of the panel, arranged when the width of the console is known."""

    frame: Tensor
    layout: Layout
    columns: int | None
    given: Tensor | None
    changed: Tensor | None
    max_lines: int | None
    # Rich widens a panel for its title, but cuts the subtitle.
    least_width: int

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        drawing, columns = self._fitted(console, options)
        wide = drawing.size[1]
        whole = max(columns * (wide + GAP) - GAP, self.least_width)
        return Measurement(min(wide, whole), whole).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawing, columns = self._fitted(console, options)
        marks = looks(drawing.layout, self.frame, self.given, self.changed)
        rows, tall = len(self.frame), drawing.size[0]
        shown = rows
        if self.max_lines is not None:
            spaced = tall + 1 if tall > 1 else 1
            bands = max(1, (self.max_lines - CHROME + spaced - tall) // spaced)
            shown = min(rows, bands * columns)
        for first in range(0, shown, columns):
            if first and tall > 1:
                yield Segment.line()
            band = range(first, min(first + columns, shown))
            for line in zip(*(drawing.tile(row, marks[row]) for row in band), strict=True):
                for index, segments in enumerate(line):
                    yield Segment(" " * GAP if index else "")
                    yield from segments
                yield Segment.line()
        if shown < rows:
            yield Text(f"and {rows - shown} more", style=DIM)

    def _fitted(self, console: Console, options: ConsoleOptions) -> tuple[Drawing | Writing, int]:
        """The drawing, with text wrapped to the width there is, and the tiles in a line.

        These are as many as told or as fit, and then as few as need no more lines.
        """
        coloured = console.color_system is not None and not console.no_color
        way: Way = "ascii" if options.ascii_only else "colour" if coloured else "shade"
        layout, rows = self.layout, len(self.frame)
        if has_words(layout):
            layout = replace(layout, width=max(1, min(options.max_width, layout.width)))
            marks = looks(layout, self.frame, self.given, self.changed)
            return Writing.of(layout, layout.cells(self.frame), marks, way), self.columns or 1
        drawing = Drawing(layout, layout.cells(self.frame), way)
        if layout.kind == "text":
            fit = max(1, min(options.max_width // drawing.cell, layout.width))
            layout = replace(layout, width=fit)
            drawing = Drawing(layout, layout.cells(self.frame), way)
        fit = max(1, (options.max_width + GAP) // (drawing.size[1] + GAP))
        if self.columns is not None:
            return drawing, max(1, min(rows, fit, self.columns))
        lines = rows if layout.kind == "text" else -(-rows // fit)
        return drawing, max(1, -(-rows // max(1, lines)))
