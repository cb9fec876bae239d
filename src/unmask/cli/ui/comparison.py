"""The output of `unmask compare`: a picture, a table, and entries of its JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unmask.evaluation.benches import Bench
    from unmask.evaluation.compare import Measurement
    from unmask.evaluation.figures import Terms

Measured = Sequence["Measurement"]


def picture(measured: Measured, bench: Bench, terms: Terms) -> Figure:
    """Return a figure with one panel for each measure of quality."""
    from unmask.viz.frontier import Panel, Point, frontier

    fronts = _fronts(measured, bench)
    panels = []
    for quality in bench.qualities:
        points = []
        for index, each in enumerate(measured):
            figure, on_front = each.figures[quality.key], index in fronts[quality.key]
            numbers = (figure.forwards, figure.value, figure.error)
            points.append(Point(each.setting.preset, each.setting.label, *numbers, on_front))
        panels.append(Panel(quality.title, points, quality.higher_is_better, quality.ideal))
    return frontier(
        panels,
        title=f"{terms.task}: quality of presets by network passes",
        cost="mean forwards a sequence",
        note=f"{terms.samples:,} rows a point; whiskers: one standard error either way",
    )


def table_rows(measured: Measured, bench: Bench) -> list[dict[str, Any]]:
    """Return one line of the table for each setting: forwards and value of each quality."""
    fronts = _fronts(measured, bench)
    shared = all(len({f.forwards for f in each.figures.values()}) == 1 for each in measured)
    lines = []
    for index, each in enumerate(measured):
        line: dict[str, Any] = {
            "of": "",
            "preset": each.setting.preset,
            "setting": each.setting.label or None,
        }
        for key, figure in each.figures.items():
            line["forwards" if shared else f"{key} forwards"] = figure.forwards
            line[key] = figure.value
        line["front"] = " ".join("●" if index in members else "·" for members in fronts.values())
        lines.append(line)
    return lines


def entries(measured: Measured, bench: Bench) -> list[dict[str, Any]]:
    """Return one entry of --json for each setting: options, figures, and its Pareto fronts."""
    fronts = _fronts(measured, bench)
    return [
        {
            "preset": each.setting.preset,
            "options": dict(each.setting.options),
            **{key: asdict(figure) for key, figure in each.figures.items()},
            "front": [key for key, members in fronts.items() if index in members],
            "measured": each.measured,
        }
        for index, each in enumerate(measured)
    ]


def _fronts(measured: Measured, bench: Bench) -> dict[str, set[int]]:
    """Return the indices of the measurements on the Pareto front of each quality."""
    from unmask.evaluation.compare import front

    return {quality.key: set(front(measured, quality)) for quality in bench.qualities}
