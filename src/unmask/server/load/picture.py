"""A picture of times: the share of requests that were answered within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.core.files import write_file
from unmask.core.optional import library
from unmask.server.load.client import Answer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(loops: Mapping[str, Sequence[Answer]], title: str) -> Figure:
    """Return a figure with a panel for first tokens and one for whole answers, a line a loop."""
    library("matplotlib", "viz", "a picture needs matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, name in zip(panels, ("first", "seconds"), strict=True):
        for label, answers in loops.items():
            values = sorted(
                value
                for each in answers
                if each.is_whole and (value := getattr(each, name)) is not None
            )
            shares = [(i + 1) / len(answers) for i in range(len(values))]
            panel.step(values, shares, where="post", label=label)
        panel.set_xlabel("seconds to the first token" if name == "first" else "seconds to the end")
        panel.grid(alpha=0.3)
        panel.set_ylim(0, 1.02)
    panels[0].set_ylabel("share of requests")
    panels[1].legend(frameon=False, loc="lower right")
    figure.suptitle(title)
    return figure


def save_picture(loops: Mapping[str, Sequence[Answer]], title: str, path: Path) -> None:
    """Write the picture as a .png."""
    data = BytesIO()
    picture(loops, title).savefig(data, format="png", dpi=150)
    write_file(path, data.getvalue())
