"""Options and arguments of commands, described in text: one entry each, such as `--steps N: ...`.

A command's own are in the `OPTIONS` of its module, and those that several share are here; so are
the options of every command that opens a model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import typer

SHARED = """
MODEL: A bundled name (digits, shakespeare, shidoku, sudoku), a folder, or a repository of
    transformers' hub.
--preset NAME: The decoding method. Default: the one that the model's card recommends, or
    random_order. [cyan]unmask info MODEL[/cyan] lists all.
--steps N: Network passes; more give better results and take longer.
--temperature T: Sampling temperature: 1 is the model's distribution, 0 the likeliest token.
--schedule NAME: Share of positions committed by each step: linear, cosine, arccos, power(2), ...
--set NAME=VALUE: Another option of the preset, such as keep=0.5; repeatable.
--class C: Class to generate, for a model with classes; several are assigned to rows in turn.
--seed N: Random seed; the same seed gives the same result on any machine.
--max-rows N: Rows generated at once; fewer use less memory. The result is the same.
--max-tokens N: Positions generated at once; fewer use less memory. The result is the same.
--out FILE: Write a picture (.png), an animation (.gif), a record (.safetensors) or, of a model of
    letters, sequences (.fasta); repeatable.
--record FILE: Save every step as .safetensors, for [cyan]unmask show[/cyan].
--live/--no-live: Draw each step. Default: only if stdout is a terminal.
--json: Print one JSON object on stdout, and nothing else.
--debug: Show the traceback of an error.
--regex PATTERN: All of each generated text matches this regular expression.
--json-schema FILE: Each generated text is JSON of the schema in this file.
--choice TEXT: Each generated text is this one, or another choice; repeatable.
--likeliest: Take the likeliest tokens that the form allows, of a step together, and draw none.
--family NAME: The kind of a model of transformers, if its files do not say it: llada, dream,
    sdar, ... (docs/language-models.md).
--mask-id N: The id of unknown positions, if its files do not say it.
--block N: Positions of a block, for attention that is block-causal.
--revision NAME: The branch, tag or commit of a repository.
--trust-remote-code: Allow the code of a model of no known family to be run.
--tokenizer PATH: The tokenizer of text, a tokenizer.json or a folder. Default: that of the model.
--dtype NAME: bfloat16, float16, float32, or auto.
--device-map NAME: The device, or auto, as transformers has it.
"""


@dataclass(frozen=True)
class Options:
    """Options of a group, as arguments of `unmask.load`, but for fields that say `load` False."""

    def given(self) -> dict[str, Any]:
        """Return those that are given."""
        known = (each.name for each in fields(self) if each.metadata.get("load", True))
        values = {name: getattr(self, name) for name in known}
        # By identity, for the id 0 may be a mask.
        return {k: v for k, v in values.items() if v is not None and v is not False}


@dataclass(frozen=True)
class Kind(Options):
    """The options about the files of a model."""

    family: str | None = None
    mask_id: int | None = None
    block: int | None = None
    revision: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Loading(Options):
    """The options about reading its weights, of any folder."""

    dtype: str | None = None
    device_map: str | None = None


@dataclass(frozen=True)
class Opened(Loading, Kind):
    """All options about a model, and its tokenizer."""

    tokenizer: Path | None = field(default=None, metadata={"load": False})


Entry = tuple[list[str], str | None, str]  # flags, the name of the value, the help text


def described(parameter: inspect.Parameter, texts: Mapping[str, Entry]) -> inspect.Parameter:
    """Return a parameter of a command with its entry."""
    flags, metavar, prose = texts[parameter.name.rstrip("_")]
    make: Any = typer.Option if flags else typer.Argument
    shown = parameter.default is not None
    entry = make(*flags, metavar=metavar, help=prose, show_default=shown)
    return parameter.replace(
        kind=parameter.KEYWORD_ONLY, annotation=Annotated[parameter.annotation, entry]
    )


def entries(text: str) -> dict[str, Entry]:
    """Return the entries of a text by the name of the parameter."""
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head, _, prose = entry.partition(": ")
        words = [word.rstrip(",") for word in head.split()]
        flags = [word for word in words if word.startswith("-")]
        metavar = next((word for word in words if word not in flags), None)
        assert prose, f"{entry!r} is no entry: '--flag VALUE: text'"
        assert len(words) <= len(flags) + 1, f"{head!r} has two names for a value"
        name = flags[0].partition("/")[0].strip("-") if flags else head.lower()
        found[name.replace("-", "_")] = flags, metavar, " ".join(prose.split())
    return found
