"""Curves with their spread, over logarithmic axes whose ticks are what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from _timing import Times


def curve(axis: Any, points: Mapping[int, Times], label: str) -> None:
    """Through the medians, with a bar from the least to the most."""
    times = points.values()
    bars = [[t.median - t.low for t in times], [t.high - t.median for t in times]]
    axis.errorbar(
        list(points), [t.median for t in times], bars, marker="o", ms=4, capsize=3, label=label
    )


def logarithmic(axis: Any, at: Sequence[int]) -> None:
    """Both axes, numbers written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set(xscale="log", yscale="log")
    axis.set_xticks(at, [f"{each:,}" for each in at], minor=False)
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        which(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.grid(alpha=0.25)
