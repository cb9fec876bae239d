"""Quality against cost: a panel for each quality, a colour for each series, the front drawn over.

Plain numbers in, a picture out; what they mean is the caller's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.core.files import write_file
from unmask.core.optional import library
from unmask.errors import InputError
from unmask.viz import palette
from unmask.viz.frontier_labels import INK, PALE, PAPER, Point, name_front
from unmask.viz.sheet import check_suffix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "Point", "check_drawable", "frontier", "save_frontier"]

# Twelve hues that stay apart on paper, then the same with other marks.
COLOURS = (
    "#2563d4", "#d9480f", "#2b8a3e", "#9c36b5", "#c99700", "#0c8599",
    "#c2255c", "#6741d9", "#74731b", "#4a6a8a", "#8a4b2a", "#e8590c",
)  # fmt: skip
MARKS = ("o", "s", "^", "D", "v")
RULE, TABLE = palette.hex_code(palette.RULE), palette.hex_code(palette.TABLE)
PANEL = (6.4, 4.6)  # inches
LINE = 0.16  # inches, of the legend
COLUMNS = 6  # of the legend, per panel half of it
DPI = 160
FEW = 3  # series at one place of the front that are still worth a bold line
FLATTEST = 0.004  # of a quality, shown above and below the points


@dataclass(frozen=True)
class Panel:
    """One quality: its points, each series in the order its line is drawn."""

    title: str
    points: Sequence[Point]
    higher_is_better: bool = True
    ideal: float | None = None  # drawn as a line


def frontier(panels: Sequence[Panel], *, title: str, cost: str, note: str = "") -> Figure:
    """Draw panels side by side over a logarithmic cost, with one legend for all.

    Raises InputError where there is nothing to draw, MissingExtraError without matplotlib.
    """
    if not panels or not all(panel.points for panel in panels):
        raise InputError("nothing to draw: every panel needs at least one point")
    names = dict.fromkeys(point.series for panel in panels for point in panel.points)
    looks = {
        name: (COLOURS[n % len(COLOURS)], MARKS[n // len(COLOURS) % len(MARKS)])
        for n, name in enumerate(names)
    }
    lines = -(-(len(looks) + 1) // (COLUMNS * len(panels) // 2))
    size = (PANEL[0] * len(panels), PANEL[1] + LINE * lines)
    figure: Figure = check_drawable().Figure(figsize=size, dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1, wspace=0.03)
    axes = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for place, panel in zip(axes, panels, strict=True):
        _draw(place, panel, looks)
        place.set_xlabel(cost, color=INK)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    _legend(figure, looks, len(panels), note)
    figure.draw_without_rendering()  # sizes are known from here on, so that labels find their place
    for place, panel in zip(axes, panels, strict=True):
        name_front(place, panel.points)
    return figure


def save_frontier(figure: Figure, path: str | Path) -> Path:
    """Write the picture as PNG, under a temporary name first; an earlier one stays until then."""
    check_suffix(path, ".png")
    data = BytesIO()
    figure.savefig(data, format="png", facecolor=figure.get_facecolor())
    return write_file(path, data.getvalue())


def check_drawable() -> Any:
    """Return matplotlib.figure. Raises MissingExtraError where matplotlib is not installed."""
    why = "the picture needs matplotlib, which is not installed; type"
    return library("matplotlib.figure", "viz", why)


def _draw(place: Axes, panel: Panel, looks: dict[str, tuple[str, str]]) -> None:
    place.set_facecolor(PAPER)
    better = "↑ higher is better" if panel.higher_is_better else "↓ lower is better"
    place.set_title(panel.title, loc="left", fontsize=11, color=INK, pad=10)
    place.set_title(better, loc="right", fontsize=8.5, color=PALE, pad=10)
    if panel.ideal is not None:
        place.axhline(panel.ideal, color=RULE, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    points = sorted(panel.points, key=lambda point: point.cost)
    front = [point for point in points if point.on_front]
    there = Counter((point.cost, point.quality) for point in front)
    for name in dict.fromkeys(point.series for point in panel.points):
        mine, (colour, mark) = [point for point in points if point.series == name], looks[name]
        leads = any(p.on_front and there[p.cost, p.quality] <= FEW for p in mine)
        width, alpha = (1.3, 0.9) if leads else (0.9, 0.45)
        x, y = [p.cost for p in mine], [p.quality for p in mine]
        place.errorbar(x, y, [p.error for p in mine], fmt="none", ecolor=colour, alpha=0.2,
                       elinewidth=1, zorder=2)  # fmt: skip
        place.plot(x, y, color=colour, marker=mark, markersize=4.5, linewidth=width, alpha=alpha,
                   markeredgewidth=0, zorder=3)  # fmt: skip
    place.plot([p.cost for p in front], [p.quality for p in front], color=INK, linewidth=2.2,
               alpha=0.85, zorder=4, solid_joinstyle="round")  # fmt: skip
    for point in front:
        colour, mark = looks[point.series]
        place.plot(point.cost, point.quality, marker=mark, markersize=6.5, color=colour,
                   markeredgewidth=0, zorder=6)  # fmt: skip
        place.plot(point.cost, point.quality, marker="o", markersize=12, markerfacecolor="none",
                   markeredgecolor=INK, markeredgewidth=1.4, zorder=5)  # fmt: skip
    _axes(place, panel)


def _axes(place: Axes, panel: Panel) -> None:
    """Powers of two below, plain numbers, no box."""
    place.set_xscale("log", base=2)
    place.xaxis.set_major_formatter("{x:g}")
    place.minorticks_off()
    costs = [point.cost for point in panel.points]
    place.set_xlim(min(costs) * 0.85, max(costs) * 1.25)
    low = min(point.quality - point.error for point in panel.points)
    high = max(point.quality + point.error for point in panel.points)
    pad = max(0.06 * (high - low), FLATTEST)
    place.set_ylim(low - pad, high + pad)
    place.grid(color=TABLE, linewidth=0.8)
    place.set_axisbelow(True)
    place.spines[["top", "right", "left"]].set_visible(False)
    place.spines["bottom"].set_color(RULE)
    place.tick_params(colors=INK, length=0, labelsize=9)


def _legend(figure: Figure, looks: dict[str, tuple[str, str]], panels: int, note: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=mark, markersize=5, linewidth=1.2, label=name)
        for name, (colour, mark) in looks.items()
    ]
    ring = Line2D([], [], color=INK, marker="o", markersize=9, linewidth=2.2,
                  markerfacecolor="none", label="nothing is better and cheaper")  # fmt: skip
    figure.legend(
        handles=[*handles, ring], loc="outside lower left", ncols=COLUMNS * panels // 2,
        frameon=False, fontsize=8.5, labelcolor=INK, title=note or None,
        title_fontsize=8.5, alignment="left",
    )  # fmt: skip
