"""`unmask train`: train a model on your own data, or on a built-in task."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unmask.cli import options
from unmask.cli.io.recipes import chosen
from unmask.cli.ui import screen
from unmask.cli.ui.screen import note, print_json, say, waiting
from unmask.cli.ui.table import facts
from unmask.cli.ui.training_screen import TrainingScreen
from unmask.errors import InputError

if TYPE_CHECKING:
    from unmask.cli.io.recipes import Chosen

EXAMPLES = [
    ("A small model of your own text, in minutes", "unmask train --data book.txt --out book"),
    (
        "With a tokenizer, a longer context and more steps",
        "unmask train --data corpus.jsonl --out mine --set data.tokenizer=tokenizer.json "
        "--set data.length=256 --steps 20000",
    ),
    ("Reproduce a bundled model, in minutes on two cores", "unmask train shidoku"),
    ("Continue after Ctrl-C", "unmask train shidoku --resume"),
]
HOME = Path("runs")


def command(
    task: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK", help="A built-in task: digits, shidoku or sudoku. Or pass --data."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Your data: .txt, or ids or text in .npy, .npz, .safetensors, .jsonl, .parquet or "
            "a folder of Hugging Face datasets.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the model; default runs/NAME."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Training options in YAML or TOML, as unmask init writes them."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the recipe; repeatable. Takes precedence over --recipe.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Training steps; the same as --set steps=N."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", help="Samples to look at in each tenth of the run; 0: none."),
    ] = None,
    held_out_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Held-out examples measured in each tenth of the run; 0: none."
        ),
    ] = None,
    seed: options.Seed = 0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from the last checkpoint; with more --steps, extend a finished model.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Train again where a model or a run is already.")
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Train a model on your own data, or on a built-in task.

    Loss, held-out bound and samples are shown during training. Ctrl-C ends the run with a
    checkpoint, and --resume continues from there. With --data alone a small network is trained,
    and the chosen settings are printed.
    """
    folder = out or HOME / (task or (data.stem if data else "model"))
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: pass a folder, such as --out {HOME / 'mine'}")
    words = {"steps": steps, "samples": samples, "held_out_rows": held_out_rows}
    sets = [*(set_ or []), *(f"{key}={each}" for key, each in words.items() if each is not None)]
    with waiting("Reading"):
        run = chosen(task, data, recipe, sets)
    from unmask.training import train
    from unmask.training.processes import leads, leave

    for line in run.notes() if leads() else []:
        note((line, "dim"))
    begun, view = time.perf_counter(), TrainingScreen(run.name)
    how: dict[str, Any] = {"seed": seed, "resume": resume, "overwrite": overwrite}
    try:
        with view.shown() if leads() else nullcontext():
            figures = train(run.source, folder, recipe=run.recipe, report=view.report, **how)
        leave()
    except KeyboardInterrupt:
        again = _again(task, sets, data=data, out=out, recipe=recipe, seed=seed)
        kept = any(folder.with_name(folder.name + ".training").glob("checkpoint-*/model"))
        raise KeyboardInterrupt(
            f"Stopped. Continue from the last checkpoint with: {again}"
            if kept
            else "Stopped before the first checkpoint, so nothing was saved."
        ) from None
    seconds = round(time.perf_counter() - begun, 1)
    if not leads():
        return
    if json:
        print_json({**run.named(), "folder": str(folder), "seconds": seconds, "figures": figures})
    else:
        _print_summary(run, folder, seconds, figures)


def _again(task: str | None, sets: list[str], **options: object) -> str:
    """Return the command line that continues this training."""
    words = ["unmask", "train", *filter(None, [task])]
    for name, value in options.items():
        words += [f"--{name}", str(value)] if value else []
    for each in sets:
        words += ["--set", each]
    return join([*words, "--resume"])


def _print_summary(run: Chosen, folder: Path, seconds: float, figures: dict[str, Any]) -> None:
    say((f"Trained {run.name} in {seconds:,.0f} s", "bold"), ", saved in ", (str(folder), "cyan"))
    screen.out().print(facts(figures))
    say("Try: ", (f"unmask generate {quote(str(folder))}", "cyan"))
    say("     ", (run.measuring(quote(str(folder))), "cyan"))
