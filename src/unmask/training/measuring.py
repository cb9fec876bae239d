"""How much of a run goes into measuring: a twentieth for its rounds, another for its final figure.

Only clocks decide; nothing that is trained depends on when, or of how many rows, a round is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 1 / 20  # of the time spent on training
FREE = 2.0  # seconds that the rounds together, or the final figure, may take however short a run is
FEWEST = 16  # held-out rows of a round, if there are so many
MOST = 4096  # held-out rows of the final figure, counting a row once for each pair of masks


class Budget:
    """The time that a run may spend on measuring, half of it on held-out rows, half on samples.

    rows, samples: of a round, at most. passes: of the network, for one sample. batch: examples of a
    step on this process. final: rows of the final figure, at most. Until one has been measured, its
    cost is guessed from the time of a step, and only half of what is left is spent on it.
    """

    def __init__(self, rows: int, samples: int, passes: int, batch: int, final: int = MOST):
        self.rows, self.samples, self.passes, self.batch = rows, samples, passes, batch
        self.final = final
        self.begun, self.steps = time.perf_counter(), 0
        self.used = {"row": 0.0, "sample": 0.0}  # seconds
        self.costs: dict[str, float] = {}  # seconds of a held-out row and of a sample, as measured

    def begin(self) -> None:
        """Count the time of training from here."""
        self.begun = time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds of measuring."""
        return sum(self.used.values())

    @property
    def trained(self) -> float:
        """Seconds since training began, without those of measuring."""
        return time.perf_counter() - self.begun - self.spent

    def seconds_left(self, steps: int) -> float:
        """Return an estimate of the time that so many further steps take, measuring included."""
        return self.trained / max(self.steps, 1) * steps * (1 + 2 * SHARE)

    @property
    def longest_figure(self) -> float:
        """Seconds that the final figure takes at most, once a row has been measured."""
        return self.costs.get("row", float("inf")) * self.final

    def affordable(self) -> tuple[int, int]:
        """Return the held-out rows and samples that a round may have now; (0, 0) if too few."""
        rows = min(self.rows, self._many("row"))
        samples = min(self.samples, self._many("sample"))
        return (0, 0) if rows < min(FEWEST, self.rows) else (rows, samples)

    def _many(self, what: str) -> int:
        """Return how many of these may be measured now."""
        halves = 2 if self.rows and self.samples else 1
        room = max(FREE, SHARE * self.trained) / halves - self.used[what]
        return max(0, int(room / self._cost(what) / (1 if what in self.costs else 2)))

    def final_rows(self) -> int:
        """Return how many rows the final figure may have."""
        room = max(FREE, SHARE * self.trained)
        return max(FEWEST, min(MOST, int(room / self._cost("row"))))

    @contextmanager
    def spending(self, what: str, count: int) -> Iterator[None]:
        """Count the time of the block as that of measuring `count` rows or samples."""
        begun = time.perf_counter()
        yield
        seconds = time.perf_counter() - begun
        self.used[what] += seconds
        self.costs[what] = seconds / count

    def _cost(self, what: str) -> float:
        """Return seconds of one row, which two passes measure, or of one sample."""
        if what in self.costs:
            return self.costs[what]
        # Of a step, less than half is the passes forward: two for each example.
        one = max(self.trained, 1e-9) / max(self.steps, 1) / (4 * self.batch)
        return one * (2 if what == "row" else self.passes)
