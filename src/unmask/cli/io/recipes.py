"""The data and the recipe of a training run, from the options of `unmask train`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from unmask.errors import DataError, InputError

if TYPE_CHECKING:
    from unmask.data import Corpus
    from unmask.training import Base, Recipe


RANK = 16  # of the adapters of --lora


@dataclass(frozen=True)
class Chosen:
    """A source of examples and a recipe."""

    source: str | Corpus
    recipe: Recipe
    path: Path | None  # of the data, where it is not a built-in task
    base: Base | None = None  # the model that is trained further
    given: frozenset[str] = frozenset()  # fields of the recipe that were set
    why: str | None = None  # what decided on the size of the run, if it has a budget
    deadline: float | None = None  # when its time is over, in seconds of `time.monotonic`

    @property
    def name(self) -> str:
        """The name of the run on the screen."""
        return str(self.source) if self.path is None else self.path.name

    def named(self) -> dict[str, Any]:
        """Return the source as --json prints it."""
        return {"task": self.source} if self.path is None else {"data": str(self.path)}

    def notes(self) -> list[str]:
        """Return lines that describe the settings chosen by default."""
        if isinstance(self.source, str):
            return []
        from unmask.training import described

        lines = described(self.source, self.recipe, self.base)
        return [*lines, *([] if self.why is None else [f"chosen for the budget: {self.why}"])]

    def within(self, budget: str, unfinished: Path | None, begun: float) -> Chosen:
        """Return the run that costs a budget. unfinished: the folder of one that goes on.

        begun: when the command began, in seconds of `time.monotonic`: reading counts, too.
        """
        if isinstance(self.source, str):
            raise InputError(
                f"--budget {budget} of {self.source}, whose recipe is fixed: pass --steps"
            )
        from unmask.training.budgeting import plan, plan_of
        from unmask.training.planning import TrainingBudget

        if unfinished is not None:
            return replace(self, recipe=plan_of(unfinished, self.recipe), why=f"{budget}, before")
        options: dict[str, Any] = {"recipe": self.recipe, "keep": self.given}
        gone = time.monotonic() - begun
        recipe, why = plan(self.source, budget, base=self.base, gone=gone, **options)
        seconds = TrainingBudget.of(budget).seconds
        deadline = None if seconds is None else begun + seconds
        return replace(self, recipe=recipe, why=f"{budget}, {why}", deadline=deadline)

    @property
    def talks(self) -> bool:
        """Whether the data is talks."""
        return not isinstance(self.source, str) and self.source.groups is not None

    def using(self, folder: str) -> str:
        """Return the command line that uses the finished model."""
        return f"unmask {'chat' if self.talks else 'generate'} {folder}"

    def measuring(self, folder: str) -> str:
        """Return the command line that measures the finished model."""
        if self.path is None:
            return f"unmask evaluate {self.source} --model {folder}"
        if self.talks:  # of which only the answers are measured
            return f"unmask info {folder}"
        how = self.recipe.data
        words = ["unmask", "score", folder, quote(str(self.path))]
        words += ["--documents"] if how.documents else []
        words += ["--column", quote(how.column)] if how.column else []
        words += ["--length", str(how.length)] if how.length and not how.documents else []
        has_classes = not isinstance(self.source, str) and self.source.classes
        words += ["--class", "file"] if has_classes else []
        return " ".join(words)


def of_base(options: dict[str, Any]) -> list[str]:
    """Return settings of a model to train further; `from` is its name."""
    keys = {name: "model" if name == "from" else name for name in options}
    given = {keys[k]: v for k, v in options.items() if v is not None}
    return [f"base.{key}={str(v).lower() if v is True else v}" for key, v in given.items()]


def chosen(
    task: str | None,
    data: Path | None,
    file: Path | None,
    sets: Sequence[str],
    *,
    lora: bool = False,
) -> Chosen:
    """Return the data and the recipe. Raises InputError for no or two sources, or unknown keys.

    lora: whether adapters are trained, of rank `RANK` where the settings say no other.
    """
    if (task is None) == (data is None):
        raise InputError(
            "pass a built-in task (digits, shidoku, sudoku) or --data PATH"
            + ("" if task is None else f"; got both, {task} and {data}")
        )
    from unmask.tasks import task as load_task
    from unmask.training import RECIPES, Base, Recipe, default_recipe, read_settings
    from unmask.training.inputs import check_data_options

    start = None
    if file is not None and str(file) in RECIPES and not file.exists():
        start, file = RECIPES[str(file)], None
    elif task is not None:
        load_task(task)  # raises for a misspelt task
        start = RECIPES[task]
    recipe = read_settings(Recipe, file, sets, start=start)
    if lora and not recipe.lora.rank:
        sets = [*sets, f"lora.rank={RANK}"]
        recipe = read_settings(Recipe, file, sets, start=start)
    named = recipe.base.model
    if task is not None and named is not None:
        raise InputError(f"--from {named} of {task}, which trains a new network: leave it out")
    recipe.settled()  # raises for settings that contradict each other
    if data is None:
        assert task is not None
        check_data_options(task, recipe.data)
        return Chosen(task, recipe, None)
    base = None if recipe.base.model is None else Base.of(recipe.base)
    corpus = _read(data, recipe, base)
    usual = start or default_recipe(corpus, None if base is None else base.options)
    made = read_settings(Recipe, file, sets, start=usual)
    return Chosen(corpus, made, data, base, _names(file, sets))


def _names(file: Path | None, sets: Sequence[str]) -> frozenset[str]:
    """Return the fields of a recipe that are set."""
    from unmask.training.setting_files import parse_file

    words = {word.partition("=")[0].partition(".")[0].strip() for word in sets}
    return frozenset(words | ({*parse_file(file)} if file else set()))


def _read(data: Path, recipe: Recipe, base: Base | None) -> Corpus:
    """Read data as a recipe says."""
    from unmask.data import read

    how = asdict(recipe.data)
    del how["held_out"]
    if base is None:
        del how["turns"], how["longer"]
    else:
        del how["tokenizer"]
    try:
        return read(data, **how) if base is None else base.read(data, **how)
    except DataError as error:
        raise DataError(_as_settings(str(error))) from error


def _as_settings(advice: str) -> str:
    """Return advice with options of `unmask score` replaced: --length 64 becomes a --set."""
    advice = advice.replace("--documents", "--set data.documents=true")
    for option in ("length", "column", "vocab-size", "tokenizer"):
        key = f"--set data.{option.replace('-', '_')}"
        advice = re.sub(rf"--{option}(?:[= ](?=[\w./'\"]))?", f"{key}=", advice)
    return advice
