"""`plan`: the recipe of a run that a budget of time or tokens is enough for."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from unmask.data import Corpus
from unmask.errors import CheckpointError
from unmask.training.base import TrainerCallback
from unmask.training.base_model import Base
from unmask.training.inputs import need
from unmask.training.making import material_of, started, trainer_of
from unmask.training.material import Material
from unmask.training.network import sized, without_data
from unmask.training.planning import Scene, TrainingBudget, planned
from unmask.training.processes import launched
from unmask.training.recipe import Recipe
from unmask.training.resuming import note_of
from unmask.training.trainer import latest

CHOSEN = ("backbone", "batch_size", "learning_rate", "precision", "steps")  # by a plan
UNTIMED = 1  # first steps, in which memory is allocated


def plan(
    data: Corpus,
    budget: str | int,
    *,
    base: Base | None = None,
    recipe: Recipe | None = None,
    keep: Collection[str] = (),
    gone: float = 0.0,
) -> tuple[Recipe, str]:
    """Return a recipe whose run costs a budget, and a line that says what decided.

    budget: a time, such as `90s`, `30m`, `2h` or `1h30m`, for which this machine is measured; or a
    number of tokens to train on. Chosen are the backbone (of a base there is nothing to choose),
    batch_size, learning_rate, precision and steps, but for the fields named in `keep`, which are
    those of `recipe`. gone: seconds of a budget of time that are spent already, such as on reading
    the data. Raises StrategyError for a budget that is none, or is too small.
    """
    allowed = TrainingBudget.of(budget)
    need(
        allowed.seconds is None or launched() == 1,
        f"budget={budget!r}: several processes would measure different times",
        "plan with one, and pass the settings that it prints, or a number of tokens",
    )
    unknown = sorted({*keep} - {*Recipe.__dataclass_fields__})
    need(not unknown, f"keep={unknown} names no fields of a recipe", "leave them out")
    need("steps" not in keep, f"budget={budget!r} beside steps", "pass one of them")
    material, recipe = material_of(data, base, recipe)
    if base is not None:
        keep = {*keep, *CHOSEN} - {"steps"}
    scene = Scene(material.length, len(material.train), partial(sized, material))
    return planned(
        allowed, recipe, scene, partial(seconds_of_step, material=material), keep, gone=gone
    )


def plan_of(work: Path, recipe: Recipe) -> Recipe:
    """Return a recipe with what was planned for the unfinished run in a folder of checkpoints.

    Raises CheckpointError where there is none.
    """
    if latest(work) is None:
        raise CheckpointError(
            f"{work} has no checkpoint of a run to resume: leave --resume out, or extend a "
            "finished model by --resume with --steps in place of --budget"
        )
    begun = note_of(work)["recipe"]
    found = {name: begun[name] for name in CHOSEN if recipe.base.model is None or name == "steps"}
    if "backbone" in found:
        found["backbone"] = without_data(found["backbone"])
    return replace(recipe, **found)


class _Clock(TrainerCallback):
    """The times at which steps ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def seconds_of_step(recipe: Recipe, steps: int, *, material: Material) -> float:
    """Return the seconds of a step on this machine, the median of so many; nothing is kept."""
    short = replace(recipe, steps=UNTIMED + steps)
    clock = _Clock()
    with tempfile.TemporaryDirectory(prefix="unmask-plan-") as folder:
        trainer = trainer_of(
            started(short, material, 0, None), short, material, Path(folder) / "run", 0
        )
        trainer.args.save_strategy = "no"
        trainer.add_callback(clock)
        trainer.train()
    ends = clock.ends[UNTIMED - 1 :]
    return statistics.median(b - a for a, b in pairwise(ends))
