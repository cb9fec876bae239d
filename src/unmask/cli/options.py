"""Options that several commands share, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelName = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A bundled name (digits, shidoku, sudoku) or a folder."),
]
Number = Annotated[int, typer.Option("--number", "-n", metavar="N", help="Rows to generate.")]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="The decoding method. Default: the one that the model's card recommends, or "
        "random_order. [cyan]unmask info MODEL[/cyan] lists all.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps", metavar="N", help="Network passes; more give better results and take longer."
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Sampling temperature: 1 is the model's distribution, 0 the likeliest token.",
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help="Share of positions committed by each step: linear, cosine, arccos, power(2), ...",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another option of the preset, such as keep=0.5; repeatable.",
    ),
]
Classes = Annotated[
    list[int] | None,
    typer.Option(
        "--class",
        metavar="C",
        help="Class to generate, for a model with classes; several are assigned to rows in turn.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        help="Random seed; the same seed gives the same result on any machine.",
    ),
]
MaxRows = Annotated[
    int | None,
    typer.Option(
        "--max-rows",
        metavar="N",
        help="Rows generated at once; fewer use less memory. The result is the same.",
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        help="Positions generated at once; fewer use less memory. The result is the same.",
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
        help="Save every step as .safetensors, for [cyan]unmask show[/cyan].",
    ),
]
Live = Annotated[
    bool | None,
    typer.Option(
        "--live/--no-live",
        show_default=False,
        help="Draw each step. Default: only if stdout is a terminal.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")
]
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="digits, shidoku or sudoku.")]
