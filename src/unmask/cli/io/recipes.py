"""The data and the recipe of a training run, from the options of `unmask train`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from unmask.errors import DataError, InputError

if TYPE_CHECKING:
    from unmask.data import Corpus
    from unmask.training import Recipe


@dataclass(frozen=True)
class Chosen:
    """A source of examples and a recipe."""

    source: str | Corpus
    recipe: Recipe
    path: Path | None  # of the data, where it is not a built-in task

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

        return described(self.source, self.recipe)

    def measuring(self, folder: str) -> str:
        """Return the command line that measures the finished model."""
        if self.path is None:
            return f"unmask evaluate {self.source} --model {folder}"
        how = self.recipe.data
        words = ["unmask", "score", folder, quote(str(self.path))]
        words += ["--documents"] if how.documents else []
        words += ["--column", quote(how.column)] if how.column else []
        words += ["--length", str(how.length)] if how.length and not how.documents else []
        has_classes = not isinstance(self.source, str) and self.source.classes
        words += ["--class", "file"] if has_classes else []
        return " ".join(words)


def chosen(task: str | None, data: Path | None, file: Path | None, sets: Sequence[str]) -> Chosen:
    """Return the data and the recipe. Raises InputError for no or two sources, or unknown keys."""
    if (task is None) == (data is None):
        raise InputError(
            "pass a built-in task (digits, shidoku, sudoku) or --data PATH"
            + ("" if task is None else f"; got both, {task} and {data}")
        )
    from unmask.tasks import task as load_task
    from unmask.training import RECIPES, Recipe, default_recipe, read_settings
    from unmask.training.inputs import check_data_options

    start = None
    if task is not None:
        load_task(task)  # raises for a misspelt task
        start = RECIPES[task]
    recipe = read_settings(Recipe, file, sets, start=start)
    if data is None:
        assert task is not None
        check_data_options(task, recipe.data)
        return Chosen(task, recipe, None)
    from unmask.data import read

    how = asdict(recipe.data)
    del how["held_out"]
    try:
        corpus = read(data, **how)
    except DataError as error:
        raise DataError(_as_settings(str(error))) from error
    recipe = read_settings(Recipe, file, sets, start=default_recipe(corpus))
    return Chosen(corpus, recipe, data)


def _as_settings(advice: str) -> str:
    """Return advice with options of `unmask score` replaced: --length 64 becomes a --set."""
    advice = advice.replace("--documents", "--set data.documents=true")
    for option in ("length", "column", "vocab-size", "tokenizer"):
        key = f"--set data.{option.replace('-', '_')}"
        advice = re.sub(rf"--{option}(?:[= ](?=[\w./'\"]))?", f"{key}=", advice)
    return advice
