"""The Pareto front: what nothing else beats in both cost and quality."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(
    cost: Sequence[float], quality: Sequence[float], *, higher_is_better: bool = True
) -> list[int]:
    """Indices of the points that no other point dominates, cheapest first.

    A point dominates another if it costs no more and is no worse, and is better in one of the two.
    Equal points do not dominate each other, so all of them are on the front; NaN is never on it.
    """
    assert len(cost) == len(quality)
    sign = 1.0 if higher_is_better else -1.0
    points = [
        (c, sign * q, index)
        for index, (c, q) in enumerate(zip(cost, quality, strict=True))
        if not (math.isnan(c) or math.isnan(q))
    ]
    front: list[int] = []
    best: tuple[float, float] | None = None  # cost and quality of the last point on the front
    for c, q, index in sorted(points, key=lambda point: (point[0], -point[1], point[2])):
        if best is None or q > best[1] or (c, q) == best:
            front.append(index)
            best = (c, q)
    return front
