"""Optional libraries, imported by the functions that need them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unmask.errors import MissingExtraError


def library(name: str, extra: str, why: str) -> Any:
    """Return a module. Raises MissingExtraError, with the extra that installs it and `why`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{why}: pip install 'unmask[{extra}]'") from error
