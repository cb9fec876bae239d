"""Reading of TOML, of which Python has a parser from 3.11 on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from unmask.core.optional import library
from unmask.errors import InputError


def parse_toml(text: str, path: Path, extra: str) -> dict[str, Any]:
    """Return the entries of a file's text. extra: installs the parser for Python 3.10.

    Raises InputError where it is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        tomllib = library("tomli", extra, f"{path}: reading TOML needs tomli")
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: no valid TOML ({error})") from error
    return found
