"""Settings of a server from the command line, the environment and a file, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from unmask.core.toml import parse_toml
from unmask.errors import InputError, nearest
from unmask.server.settings import Settings

KEY = "UNMASK_API_KEY"
"""The variable of the environment that has the API key."""
MODELS = "models"
"""The entry of a file that lists models."""


def gathered(
    given: Mapping[str, Any], environment: Mapping[str, str], file: Path | None
) -> tuple[list[str], Settings]:
    """Return the models that a file names, none without one, and settings.

    given: values of the command line, None where an option is left out; they come before the
    environment, which comes before the file. Raises InputError for what cannot work.
    """
    entries = {} if file is None else read_file(file)
    models = entries.pop(MODELS, [])
    if KEY in environment:
        entries["api_key"] = environment[KEY]
    entries |= {name: value for name, value in given.items() if value is not None}
    return models, Settings(**entries)


def read_file(path: Path) -> dict[str, Any]:
    """Return the entries of a TOML file: names of settings, and `models`.

    Raises InputError where it cannot be read, or has other entries.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the configuration cannot be read ({error})") from error
    entries = parse_toml(text, path, "serve")
    known = {each.name for each in fields(Settings)} | {MODELS}
    for name in entries.keys() - known:
        raise InputError(f"{path} has an entry {name!r}: {nearest(name, known)}")
    for name in {MODELS, "cors"} & entries.keys():
        value = entries[name]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InputError(f'{path}: {name} = {value!r} is no list: type {name} = ["..."]')
    if "cors" in entries:
        entries["cors"] = tuple(entries["cors"])
    return entries
