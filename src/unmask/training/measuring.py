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
    """The time that a run may spend on measuring, and what a held-out row and a sample cost.

    rows, samples: of a round, at most. passes: of the network, for one sample. batch: examples of
    a step on this process. Until a round has been measured, costs are guessed from the time of a
    step, and only half of what is left is spent.
    """

    def __init__(self, rows: int, samples: int, passes: int, batch: int):
        self.rows, self.samples, self.passes, self.batch = rows, samples, passes, batch
        self.begun, self.spent, self.steps = time.perf_counter(), 0.0, 0
        self.costs: dict[str, float] = {}  # seconds of a held-out row and of a sample, as measured

    def begin(self) -> None:
        """Count the time of training from here."""
        self.begun = time.perf_counter()

    @property
    def trained(self) -> float:
        """Seconds since training began, without those of measuring."""
        return time.perf_counter() - self.begun - self.spent

    def seconds_left(self, steps: int) -> float:
        """Return an estimate of the time that so many further steps take, measuring included."""
        return self.trained / max(self.steps, 1) * steps * (1 + 2 * SHARE)

    def affordable(self) -> tuple[int, int]:
        """Return the held-out rows and samples that a round may have now; (0, 0) if too few."""
        room = max(FREE, SHARE * self.trained) - self.spent
        if not self.costs:
            room /= 2
        for_rows = room / 2 if self.samples else room
        rows = min(self.rows, int(for_rows / self._cost("row")))
        if rows < min(FEWEST, self.rows):
            return 0, 0
        samples = (room - rows * self._cost("row")) / self._cost("sample")
        return rows, max(0, min(self.samples, int(samples)))

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
        self.spent += seconds
        self.costs[what] = seconds / count

    def _cost(self, what: str) -> float:
        """Return seconds of one row, which two passes measure, or of one sample."""
        if what in self.costs:
            return self.costs[what]
        # Of a step, less than half is the passes forward: two for each example.
        one = max(self.trained, 1e-9) / max(self.steps, 1) / (4 * self.batch)
        return one * (2 if what == "row" else self.passes)
