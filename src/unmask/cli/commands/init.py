"""`unmask init`: write a training recipe."""

from __future__ import annotations

from pathlib import Path

from unmask.cli.io import outputs
from unmask.cli.ui.screen import say
from unmask.errors import InputError

EXAMPLES = [
    ("A recipe with every key, its default and its meaning", "unmask init"),
    ("The recipe of a bundled model", "unmask init digits.yaml --task digits"),
]
OPTIONS = """
FILE: File to write; .yaml or .yml.
--task TASK: Write the recipe of this bundled model: digits, shidoku, sudoku, shakespeare.
"""


def command(file: Path = Path("recipe.yaml"), task: str | None = None) -> None:
    """Write a commented recipe for training.

    The file has every key with its default; keys that you do not change may be deleted.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"{file}: a recipe is YAML; type {file.with_suffix('.yaml')}")
    if file.exists():
        raise InputError(f"{file} exists already: type another name, or remove it first")
    outputs.checked([file], option="")
    from unmask.core.files import write_file
    from unmask.tasks import TASKS
    from unmask.tasks import task as load_task
    from unmask.training import RECIPES, Recipe, commented

    if task is not None and task not in RECIPES:
        load_task(task)  # raises for a misspelt task
    text = commented(Recipe, values=None if task is None else RECIPES[task])
    write_file(file, text.encode())
    say("wrote ", (str(file), "cyan"))
    what = task if task in TASKS else "--data YOUR-DATA"
    say("Try: ", (f"unmask train {what} --recipe {file} --out mine", "cyan"))
