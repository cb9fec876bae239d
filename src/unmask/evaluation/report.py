"""`evaluate`: the figures of a built-in task, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable

from unmask import tasks
from unmask.core.network import Denoiser, check_denoiser
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
    measurement. Raises DataError for an unknown task, and a model of other data.
    """
    if task not in _PLANS:
        raise DataError(f"unknown task {task!r}: {nearest(task, _PLANS)}")
    check_denoiser(model, DataError)
    _check_of_task(task, model)
    measurements = list(_PLANS[task](model, seed, quick))
    rows = []
    for done, (name, measure) in enumerate(measurements):
        if report is not None:
            report(done, len(measurements), name)
        rows.append(measure())
    return rows


def _check_of_task(task: str, model: Denoiser) -> None:
    """Raise DataError unless the ids and positions of a network are those of a built-in task."""
    known, spec = tasks.task(task), model.spec
    length = known.train.shape[1]
    too_short = spec.max_length is not None and spec.max_length < length
    if (spec.vocab_size, spec.mask_id) != (known.vocab_size, known.mask_id) or too_short:
        raise DataError(
            f"the network has {spec.vocab_size} ids, mask id {spec.mask_id} and "
            f"{spec.max_length or 'any number of'} positions; {task} has {known.vocab_size} ids, "
            f"mask id {known.mask_id} and {length} positions: pass a model trained on {task}"
        )
