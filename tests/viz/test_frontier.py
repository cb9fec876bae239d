"""The picture of quality against cost: read from the drawn figure, not from its pixels."""

import os
import sys

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from unmask.errors import InputError, MissingExtraError
from unmask.viz.frontier import Panel, Point, check_drawable, frontier, save_frontier

POINTS = [
    Point("slow", "steps=4", 4, 0.8, 0.02),
    Point("slow", "steps=1", 1, 0.3, 0.02, on_front=True),
    Point("fast", "threshold=0.9", 2.5, 0.9, 0.01, on_front=True),
    Point("same", "threshold=0.9", 2.5, 0.9, 0.01, on_front=True),
    Point("third", "threshold=0.9", 2.5, 0.9, 0.01, on_front=True),
]


def drawn(*panels):
    return frontier(panels, title="title", cost="forwards", note="note")


def texts(place):
    return [each.get_text() for each in place.texts]


def line_through(place, width):
    [line] = [each for each in place.lines if each.get_linewidth() == width]
    return list(zip(*line.get_data(), strict=True))


def test_one_panel_a_quality_and_one_legend_for_all():
    figure = drawn(Panel("up", POINTS), Panel("down", POINTS[:1], False, 0.5))
    up, down = figure.axes
    assert [each.get_title(loc="left") for each in figure.axes] == ["up", "down"]
    assert "higher" in up.get_title(loc="right")
    assert "lower" in down.get_title(loc="right")
    assert {each.get_xscale() for each in figure.axes} == {"log"}
    [legend] = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["slow", "fast", "same", "third", "nothing is better and cheaper"]


def test_a_series_is_one_line_by_cost_in_a_colour_of_its_own():
    [place] = drawn(Panel("up", POINTS)).axes
    lines = {tuple(map(float, each.get_xdata())): each for each in place.lines}
    assert (1.0, 4.0) in lines
    many = [Point(f"s{n}", "", 1 + n, n) for n in range(30)]
    legend = drawn(Panel("up", many)).legends[0].legend_handles[:-1]
    assert len({(each.get_color(), each.get_marker()) for each in legend}) == 30


def test_the_front_is_a_line_of_ringed_points_with_their_names():
    [place] = drawn(Panel("up", POINTS)).axes
    assert set(line_through(place, 2.2)) == {(1, 0.3), (2.5, 0.9)}
    rings = [each for each in place.lines if each.get_markerfacecolor() == "none"]
    assert {tuple(each.get_xydata()[0]) for each in rings} == {(1.0, 0.3), (2.5, 0.9)}
    assert texts(place) == ["slow\nsteps=1", "fast, same and 1 more\nthreshold=0.9"]


def test_names_stay_inside_and_do_not_cover_each_other():
    crowd = [Point(f"s{n}", f"steps={n}", 2 + n / 9, n / 99, 0, on_front=True) for n in range(6)]
    figure = drawn(Panel("up", [*crowd, Point("far", "", 64, 1.0)]))
    [place] = figure.axes
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in place.texts]
    assert len(boxes) == 6
    room = place.get_window_extent()
    assert all(room.x0 <= box.x0 and box.x1 <= room.x1 for box in boxes)
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_equal_points_are_drawn_in_a_frame_that_is_not_empty():
    [place] = drawn(Panel("flat", [Point("a", "", 2, 1.0), Point("b", "", 2, 1.0)])).axes
    low, high = place.get_ylim()
    assert low < 1.0 < high
    assert place.get_xlim()[0] < 2 < place.get_xlim()[1]


def test_nothing_to_draw_is_told():
    for panels in ([], [Panel("empty", [])]):
        with pytest.raises(InputError, match="nothing to draw"):
            drawn(*panels)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[viz\]'"):
        check_drawable()


def test_the_picture_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = drawn(Panel("up", POINTS))
    path = save_frontier(figure, tmp_path / "a" / "front.png")
    with Image.open(path) as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    with pytest.raises(InputError, match=r"front\.png"):
        save_frontier(figure, tmp_path / "front.gif")

    def full(_):
        raise OSError("No space left on device")

    earlier = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_frontier(figure, path)
    assert path.read_bytes() == earlier
    assert len(list(path.parent.iterdir())) == 1
