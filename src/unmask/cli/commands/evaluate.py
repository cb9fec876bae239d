"""`unmask evaluate`: the quality of a model of a built-in task."""

from __future__ import annotations

from functools import partial
from typing import Any

from unmask.cli.io.models import open_model
from unmask.cli.options import Loading
from unmask.cli.ui.screen import counting, out, print_json, say, waiting
from unmask.cli.ui.table import figures

EXAMPLES = [
    (
        "A first look at the bundled model, with a tenth of the samples",
        "unmask evaluate shidoku --quick",
    ),
    ("Your own model beside the reference figures", "unmask evaluate digits --model my-digits"),
    ("As JSON", "unmask evaluate shidoku --json"),
]


OPTIONS = """
TASK: digits, shidoku or sudoku.
--model MODEL: A bundled name or a folder; default: the bundled model of the task.
--quick: Use a tenth of the samples: faster, and less certain.
"""


def command(
    task: str,
    model: str | None = None,
    seed: int = 0,
    quick: bool = False,
    *,
    loading: Loading,
    json: bool = False,
) -> None:
    """Measure a model of a built-in task.

    Compares samples with real data and solved puzzles with their solutions, and measures the
    likelihood of held-out data. The column "reference" has figures of other models or of real data
    on the same task.
    """
    rows = _evaluate(task, model or task, seed, quick, loading)
    if json:
        print_json(
            {"task": task, "model": model or task, "seed": seed, "quick": quick, "rows": rows}
        )
        return
    say((f"{model or task} on {task}", "bold"), (f"  seed {seed}", "dim"))
    for table in figures(rows):
        out().print(table)


def _evaluate(
    task: str, model: str, seed: int, quick: bool, loading: Loading
) -> list[dict[str, Any]]:
    with waiting("Starting"):
        from unmask import tasks
        from unmask.core.random import check_seed
        from unmask.evaluation import evaluate

    check_seed(seed)
    tasks.task(task)  # a misspelt task is an error about the task, not about a missing model
    denoiser = open_model(model, loading).denoiser
    with counting() as progress:
        show = partial(progress.update, progress.add_task("", total=None))
        return evaluate(
            task,
            denoiser,
            seed=seed,
            quick=quick,
            report=lambda done, total, what: show(completed=done, total=total, description=what),
        )
