"""`unmask init`: a recipe to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unmask.cli.ui.screen import say
from unmask.errors import InputError

EXAMPLES = [
    ("A recipe with every key, its default and what it does", "unmask init"),
    ("The recipe of a bundled model", "unmask init digits.yaml --task digits"),
]


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the recipe goes; .yaml or .yml.")
    ] = Path("recipe.yaml"),
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="Begin with the recipe of a built-in task."),
    ] = None,
) -> None:
    """Write a commented recipe for training.

    Every key stands in it with its default; leave out what you do not change.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"{file}: a recipe is YAML; type {file.with_suffix('.yaml')}")
    if file.exists():
        raise InputError(f"{file} is there already: type another name, or remove it first")
    from unmask.core.files import replacing_file
    from unmask.tasks import task as load_task
    from unmask.training import RECIPES, Recipe, commented

    if task is not None:
        load_task(task)
    text = commented(Recipe, values=None if task is None else RECIPES[task])
    with replacing_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say("wrote ", (str(file), "cyan"))
    what = "--data YOUR-DATA" if task is None else task
    say("Try: ", (f"unmask train {what} --recipe {file} --out mine", "cyan"))
