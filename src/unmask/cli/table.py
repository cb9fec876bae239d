"""Rows of figures as a table, whatever their columns are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

ERRORS = ("_standard_error", "_se", "_error")
"""Endings of a column that holds the standard error of the column in front of the ending."""
REFERENCE = "reference"


def figures(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """A column for each key in order of appearance; standard errors stand behind their value."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = [key for key in keys if _value_of(key, keys) is None]
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for key in columns:
        numeric = all(_is_number(row[key]) for row in rows if row.get(key) is not None)
        table.add_column(
            key.replace("_", " "),
            justify="right" if numeric else "left",
            style="dim" if key == REFERENCE else "",
        )
    for row in rows:
        table.add_row(*(Text(_cell(row, key, keys)) for key in columns))
    return table


def _value_of(key: str, keys: Sequence[str]) -> str | None:
    """The column whose standard error this one holds."""
    stems = (key.removesuffix(end) for end in ERRORS if key.endswith(end))
    return next((stem for stem in stems if stem in keys), None)


def _cell(row: Mapping[str, Any], key: str, keys: Sequence[str]) -> str:
    errors = [k for k in keys if _value_of(k, keys) == key and row.get(k) is not None]
    return " ± ".join([shown(row.get(key)), *(shown(row[k]) for k in errors)])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as people read it: three decimals, thousands set apart, a dash for none."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)
