"""The points of a picture of quality against cost, and the names of those on its front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING

from unmask.viz import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

INK, PAPER = palette.hex_code(palette.INK), palette.hex_code(palette.PAPER)
PALE = palette.hex_code(palette.blend(palette.INK, palette.PAPER, 0.4))
NAMED = 2  # names at one place of the front, the others are counted


@dataclass(frozen=True)
class Point:
    """One setting of a series."""

    series: str
    label: str
    cost: float
    quality: float
    error: float = 0.0  # half a whisker
    on_front: bool = False


# Where a label may stand, seen from its point: right and up, the best first.
_DIRECTIONS = (
    (1, -1), (1, 0.3), (-1, 1), (0, -1.6), (0, 1.3), (-1, -1), (-1, 0.2), (1, 1), (0.2, 1.6),
)  # fmt: skip
_SPOTS = [
    (across * far, up * far) for far in (10, 18, 28, 40, 56, 74, 96) for across, up in _DIRECTIONS
]


def name_front(place: Axes, points: Sequence[Point]) -> None:
    """Write the names of the points on the front where they cover as little as possible."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    def around(point: Point, half: float) -> Bbox:
        x, y = place.transData.transform((point.cost, point.quality))
        return Bbox([[x - half, y - half], [x + half, y + half]])

    front = sorted((point for point in points if point.on_front), key=lambda point: point.cost)
    taken = [around(point, 18.0 if point.on_front else 8.0) for point in points]
    taken += [around(point, 5.0) for point in _between(front)]
    named: list[Bbox] = []
    for (cost, quality), text in _front_names(front).items():
        note = place.annotate(
            text, (cost, quality), (0, 0), textcoords="offset points", fontsize=8, va="center",
            color=INK, zorder=7, linespacing=1.15,
            path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
            arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.8,
                        "shrinkA": 1, "shrinkB": 6.5},
        )  # fmt: skip
        note.set_in_layout(False)  # or the panel would move from under it
        _settle(note, taken, named, place.get_window_extent())
        named.append(_extent(note))


def _between(front: Sequence[Point], pieces: int = 24) -> Iterator[Point]:
    """Places along the line of the front, close enough that no label fits between them."""
    for one, two in pairwise(front):
        for share in (n / pieces for n in range(1, pieces)):
            cost = one.cost ** (1 - share) * two.cost**share  # the axis is logarithmic
            yield Point("", "", cost, (1 - share) * one.quality + share * two.quality)


def _front_names(front: Sequence[Point]) -> dict[tuple[float, float], str]:
    """Labels of the points of the front; equal points share one.

    It is `maskgit, muse` over `steps=8`, and how many further ones there are.
    """
    places: dict[tuple[float, float], dict[str, list[str]]] = {}
    for point in front:
        here = places.setdefault((point.cost, point.quality), {})
        here.setdefault(point.label, []).append(point.series)
    names = {}
    for place, here in places.items():
        label, series = max(here.items(), key=lambda item: len(item[1]))
        others = sum(map(len, here.values())) - len(series[:NAMED])
        more = f" and {others} more" if others else ""
        names[place] = f"{', '.join(series[:NAMED])}{more}\n{label}".strip()
    return names


def _settle(note: Annotation, taken: Sequence[Bbox], named: Sequence[Bbox], room: Bbox) -> None:
    """Move a label to the spot that leaves the room least, covers least, and is nearest."""

    def harm(spot: tuple[float, float]) -> float:
        note.set_position(spot)
        side = spot[0]
        note.set_horizontalalignment("left" if side > 0 else "right" if side < 0 else "center")
        box = _extent(note)
        inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
        names = sum(box.overlaps(other) for other in named)
        points = sum(box.overlaps(other) for other in taken)
        return 20 * (not inside) + 10 * names + points + hypot(*spot) / 15

    harm(min(_SPOTS, key=harm))  # which moves the label there


def _extent(note: Annotation) -> Bbox:
    """Of the words alone, without the line that leads to them."""
    from matplotlib.text import Text

    note.get_window_extent()  # puts the words where the point says
    return Text.get_window_extent(note)
