"""Options that several commands have, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelName = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A bundled name (digits, shidoku, sudoku) or a folder."),
]
Number = Annotated[int, typer.Option("--number", "-n", metavar="N", help="How many.")]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="The method. Default: what the model's card recommends, or random_order. "
        "[cyan]unmask info MODEL[/cyan] lists all.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", help="Network passes: more are slower and better."),
]
Temperature = Annotated[
    float | None,
    typer.Option("--temperature", metavar="T", help="Above 1: wilder; 0: the likeliest token."),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help="How many positions each step commits: linear, cosine, arccos, power(2), ...",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any further option of the preset, such as keep=0.5; repeatable.",
    ),
]
Classes = Annotated[
    list[int] | None,
    typer.Option(
        "--class",
        metavar="C",
        help="What to generate, for a model that knows classes; several are dealt out in turn.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Same seed, same result, on any machine.")
]
MaxRows = Annotated[
    int | None,
    typer.Option(
        "--max-rows",
        metavar="N",
        help="Rows at a time, where memory does not hold all; the result is the same.",
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        help="Positions at a time, where memory does not hold all; the result is the same.",
    ),
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write a picture (.png), an animation (.gif) or a record (.safetensors); repeatable.",
    ),
]
RecordFile = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE",
        help="Keep what happened, as .safetensors, for [cyan]unmask show[/cyan].",
    ),
]
Live = Annotated[
    bool | None,
    typer.Option(
        "--live/--no-live",
        show_default=False,
        help="Show each step. Default: where stdout is a terminal.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")
]
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="digits, shidoku or sudoku.")]
