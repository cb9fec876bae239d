"""`unmask train`: train a model on your own data, or on a built-in task."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Any

from unmask.cli.io import outputs
from unmask.cli.io.recipes import chosen, of_base
from unmask.cli.options import Kind
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
        "The best that half an hour can do, with a tokenizer trained on the text",
        "unmask train --data book.txt --budget 30m --set data.tokenizer=bpe:4096 --out book",
    ),
    (
        "Make a masked model of a left-to-right one, in blocks of 32, and teach it talks",
        "unmask train --from Qwen/Qwen3-0.6B --convert --block 32 --data chat.jsonl --out mine",
    ),
    (
        "Teach a published model to answer as your talks do, by adapters (LoRA)",
        "unmask train --from GSAI-ML/LLaDA-8B-Instruct --data chat.jsonl --out mine --lora",
    ),
]
OPTIONS = """
TASK: A built-in task: digits, shidoku or sudoku. Or pass --data.
--data PATH: Your data: .txt, sequences in .fasta, or ids or text in .npy, .npz, .safetensors,
    .jsonl, .parquet or a folder of Hugging Face datasets.
--from MODEL: Train this model further, and not a new network: a folder, or a repository of
    transformers' hub. Of talks in --data only the answers are learnt.
--convert: The model of --from is a left-to-right one, such as Qwen3, which is made a masked one
    first; with --block W its attention is open within blocks alone.
--no-logit-shift: Logits of a converted model move to the position itself; by default they stay at
    the one before it.
--anneal STEPS: First steps, in which the attention of a converted model opens gradually.
--lora: Train adapters of rank 16, which are merged into the weights that are saved.
--out FOLDER: Folder for the model; default runs/NAME.
--recipe FILE: Training options in YAML or TOML, as unmask init writes them; or a bundled recipe:
    shakespeare, digits, shidoku, sudoku.
--set KEY=VALUE: A key of the recipe; repeatable. Takes precedence over --recipe.
--steps N: Training steps; the same as --set steps=N.
--budget COST: Choose network, batch and steps for a time, such as 90s, 30m or 2h, or for a number
    of tokens; what is set otherwise stays. The machine is measured for a moment.
--samples N: Samples to look at in each tenth of the run; 0: none.
--held-out-rows N: Held-out examples measured in each tenth of the run; 0: none.
--resume: Continue from the last checkpoint; with more --steps, extend a finished model.
--overwrite: Train again where a model or a run is already.
"""
HOME = Path("runs")


def command(
    task: str | None = None,
    data: Path | None = None,
    from_: str | None = None,
    convert: bool = False,
    no_logit_shift: bool = False,
    anneal: int | None = None,
    lora: bool = False,
    out: Path | None = None,
    recipe: Path | None = None,
    set_: list[str] | None = None,
    steps: int | None = None,
    budget: str | None = None,
    samples: int | None = None,
    held_out_rows: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    json: bool = False,
    *,
    kind: Kind,
    tokenizer: Path | None = None,
    dtype: str | None = None,
) -> None:
    """Train a model on your own data, or on a built-in task.

    Loss, held-out bound and samples are shown during training. Ctrl-C ends the run with a
    checkpoint, and --resume continues from there. With --data alone a small network is trained,
    and the chosen settings are printed. With --from a model is trained further on talks, on pairs
    of a prompt and its completion, or on text.
    """
    begun = time.monotonic()
    folder = out or HOME / (task or (data.stem if data else "model"))
    if folder.name in ("", ".."):  # '.' has a name of its own only in full
        folder = folder.resolve()
    if not folder.name:
        raise InputError(f"--out {folder} is no place for a model: pass the name of a folder")
    # A finished model is replaced as a whole, from a folder beside it.
    beside = folder.with_name(folder.name + ".training")
    place = beside if folder.is_dir() else folder
    outputs.checked([place / "model.safetensors"], folder=folder)
    shift = False if no_logit_shift else None
    words = {"steps": steps, "samples": samples, "held_out_rows": held_out_rows}
    words |= {"base.logit_shift": shift, "anneal_steps": anneal}
    sets = [*(set_ or []), *(f"{key}={each}" for key, each in words.items() if each is not None)]
    model = {"from": from_, **kind.given(), "tokenizer": tokenizer, "dtype": dtype}
    model["convert"] = convert or None
    with waiting("Reading"):
        run = chosen(task, data, recipe, [*of_base(model), *sets], lora=lora)
    if budget is not None:
        with waiting("Measuring this machine"):
            run = run.within(budget, beside if resume else None, begun)
    from unmask.training import train
    from unmask.training.processes import leads, leave

    for line in run.notes() if leads() else []:
        note((line, "dim"))
    begun, view = time.monotonic(), TrainingScreen(run.name)
    how: dict[str, Any] = {"seed": seed, "resume": resume, "overwrite": overwrite}
    how |= {} if run.deadline is None else {"deadline": run.deadline}
    try:
        with view.shown() if leads() else nullcontext():
            how |= {} if run.base is None else {"base": run.base}
            figures = train(run.source, folder, recipe=run.recipe, report=view.report, **how)
        leave()
    except KeyboardInterrupt:
        named = {"data": data, "budget": budget, "out": out, "recipe": recipe, "seed": seed}
        again = _again(task, sets, **model, lora=lora, **named)
        kept = any(beside.glob("checkpoint-*/model"))
        raise KeyboardInterrupt(
            f"Stopped. Continue from the last checkpoint with: {again}"
            if kept
            else "Stopped before the first checkpoint, so nothing was saved."
        ) from None
    seconds = round(time.monotonic() - begun, 1)
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
        flag = f"--{name.replace('_', '-')}"
        given = value is not None and value is not False and (name != "seed" or value != 0)
        words += ([flag] if value is True else [flag, str(value)]) if given else []
    for each in sets:
        words += ["--set", each]
    return join([*words, "--resume"])


def _print_summary(run: Chosen, folder: Path, seconds: float, figures: dict[str, Any]) -> None:
    say((f"Trained {run.name} in {seconds:,.0f} s", "bold"), ", saved in ", (str(folder), "cyan"))
    screen.out().print(facts(figures))
    say("Try: ", (run.using(quote(str(folder))), "cyan"))
    say("     ", (run.measuring(quote(str(folder))), "cyan"))
