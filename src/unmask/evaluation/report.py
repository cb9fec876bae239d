"""`evaluate`: the figures of a built-in task, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable

from unmask.core.network import Denoiser
from unmask.errors import DataError, nearest
from unmask.evaluation import digits, shidoku, sudoku
from unmask.evaluation.figures import Row

Report = Callable[[int, int, str], None]  # done, total, what comes next

_PLANS = {"digits": digits.plan, "shidoku": shidoku.plan, "sudoku": sudoku.plan}


def evaluate(
    task: str,
    model: Denoiser,
    *,
    seed: int = 0,
    quick: bool = False,
    report: Report | None = None,
) -> list[Row]:
    """Measure a model of a built-in task; each row is a dict of column name to value.

    quick: a tenth of the samples, for a look. report(done, total, next) is called before each
    measurement. Raises DataError for an unknown task.
    """
    if task not in _PLANS:
        raise DataError(f"unknown task {task!r}: {nearest(task, _PLANS)}")
    measurements = list(_PLANS[task](model, seed, quick))
    rows = []
    for done, (name, measure) in enumerate(measurements):
        if report is not None:
            report(done, len(measurements), name)
        rows.append(measure())
    return rows
