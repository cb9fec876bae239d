"""Quality against cost: a panel for each quality, a colour for each series, the front drawn over.

Plain numbers in, a picture out; what they mean is the caller's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.core.files import write_file
from unmask.errors import InputError, MissingExtraError
from unmask.viz import palette
from unmask.viz.frontier_labels import Point, name_front
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
PALE = palette.blend(palette.INK, palette.PAPER, 0.4)
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
    figure_of, engine_of = _figure_parts()
    looks = _looks([point.series for panel in panels for point in panel.points])
    lines = -(-(len(looks) + 1) // (COLUMNS * len(panels) // 2))
    figure: Figure = figure_of(
        figsize=(PANEL[0] * len(panels), PANEL[1] + LINE * lines), dpi=DPI,
        layout=engine_of(w_pad=0.1, h_pad=0.1, wspace=0.03), facecolor=_hex(palette.PAPER),
    )  # fmt: skip
    axes = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for place, panel in zip(axes, panels, strict=True):
        _draw(place, panel, looks)
        place.set_xlabel(cost, color=_hex(palette.INK))
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold",
                    color=_hex(palette.INK))  # fmt: skip
    _legend(figure, looks, len(panels), note)
    figure.draw_without_rendering()  # sizes are known from here on, so that labels find their place
    for place, panel in zip(axes, panels, strict=True):
        name_front(
            place, panel.points, ink=_hex(palette.INK), paper=_hex(palette.PAPER), pale=_hex(PALE)
        )
    return figure


def save_frontier(figure: Figure, path: str | Path) -> Path:
    """Write the picture as PNG, under a temporary name first; an earlier one stays until then."""
    check_suffix(path, ".png")
    data = BytesIO()
    figure.savefig(data, format="png", facecolor=figure.get_facecolor())
    return write_file(path, data.getvalue())


def check_drawable() -> None:
    """Raise MissingExtraError before any work is done where matplotlib is not installed."""
    _figure_parts()


def _figure_parts() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingExtraError(
            "the picture needs matplotlib, which is not installed; type: pip install 'unmask[viz]'"
        ) from error
    return Figure, ConstrainedLayoutEngine


def _hex(colour: palette.RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _looks(series: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and mark of each series."""
    names = dict.fromkeys(series)
    return {
        name: (COLOURS[n % len(COLOURS)], MARKS[n // len(COLOURS) % len(MARKS)])
        for n, name in enumerate(names)
    }


def _lines(panel: Panel) -> Iterator[tuple[str, list[Point]]]:
    for name in dict.fromkeys(point.series for point in panel.points):
        mine = [point for point in panel.points if point.series == name]
        yield name, sorted(mine, key=lambda point: point.cost)


def _draw(place: Axes, panel: Panel, looks: dict[str, tuple[str, str]]) -> None:
    ink, rule = _hex(palette.INK), _hex(palette.RULE)
    place.set_facecolor(_hex(palette.PAPER))
    better = "↑ higher is better" if panel.higher_is_better else "↓ lower is better"
    place.set_title(panel.title, loc="left", fontsize=11, color=ink, pad=10)
    place.set_title(better, loc="right", fontsize=8.5, color=_hex(PALE), pad=10)
    if panel.ideal is not None:
        place.axhline(panel.ideal, color=rule, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    front = sorted((p for p in panel.points if p.on_front), key=lambda p: p.cost)
    there = Counter((point.cost, point.quality) for point in front)
    for name, points in _lines(panel):
        colour, mark = looks[name]
        leads = any(p.on_front and there[p.cost, p.quality] <= FEW for p in points)
        width, alpha = (1.3, 0.9) if leads else (0.9, 0.45)
        x, y = [p.cost for p in points], [p.quality for p in points]
        place.errorbar(x, y, [p.error for p in points], fmt="none", ecolor=colour, alpha=0.2,
                       elinewidth=1, zorder=2)  # fmt: skip
        place.plot(x, y, color=colour, marker=mark, markersize=4.5, linewidth=width, alpha=alpha,
                   markeredgewidth=0, zorder=3)  # fmt: skip
    place.plot([p.cost for p in front], [p.quality for p in front], color=ink, linewidth=2.2,
               alpha=0.85, zorder=4, solid_joinstyle="round")  # fmt: skip
    for point in front:
        colour, mark = looks[point.series]
        place.plot(point.cost, point.quality, marker=mark, markersize=6.5, color=colour,
                   markeredgewidth=0, zorder=6)  # fmt: skip
        place.plot(point.cost, point.quality, marker="o", markersize=12, markerfacecolor="none",
                   markeredgecolor=ink, markeredgewidth=1.4, zorder=5)  # fmt: skip
    _axes(place, panel)


def _axes(place: Axes, panel: Panel) -> None:
    """Powers of two below, plain numbers, no box."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    place.set_xscale("log", base=2)
    place.xaxis.set_major_locator(LogLocator(base=2))
    place.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    place.xaxis.set_minor_locator(NullLocator())
    costs = [point.cost for point in panel.points]
    place.set_xlim(min(costs) * 0.85, max(costs) * 1.25)
    low = min(point.quality - point.error for point in panel.points)
    high = max(point.quality + point.error for point in panel.points)
    pad = max(0.06 * (high - low), FLATTEST)
    place.set_ylim(low - pad, high + pad)
    place.grid(color=_hex(palette.TABLE), linewidth=0.8)
    place.set_axisbelow(True)
    for side in ("top", "right", "left"):
        place.spines[side].set_visible(False)
    place.spines["bottom"].set_color(_hex(palette.RULE))
    place.tick_params(colors=_hex(palette.INK), length=0, labelsize=9)


def _legend(figure: Figure, looks: dict[str, tuple[str, str]], panels: int, note: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=mark, markersize=5, linewidth=1.2, label=name)
        for name, (colour, mark) in looks.items()
    ]
    ring = Line2D([], [], color=_hex(palette.INK), marker="o", markersize=9, linewidth=2.2,
                  markerfacecolor="none", label="nothing is better and cheaper")  # fmt: skip
    figure.legend(
        handles=[*handles, ring], loc="outside lower left", ncols=COLUMNS * panels // 2,
        frameon=False, fontsize=8.5, labelcolor=_hex(palette.INK), title=note or None,
        title_fontsize=8.5, alignment="left",
    )  # fmt: skip
