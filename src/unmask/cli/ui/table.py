"""Tables of figures with any columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

REFERENCE = "reference"

Row = Mapping[str, Any]


def figures(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield tables of rows (dicts of column name to value).

    If the first column is text, there is one table for each of its values. Columns without values
    are left out.
    """
    first = next(iter(rows[0]), None) if rows else None
    if first is None or not all(isinstance(row.get(first), str) for row in rows):
        yield _table(rows, None)
        return
    for title in dict.fromkeys(row[first] for row in rows):
        part = [row for row in rows if row[first] == title]
        yield _table([{k: v for k, v in row.items() if k != first} for row in part], title)


def _table(rows: Sequence[Row], title: str | None) -> Table:
    present = dict.fromkeys(key for row in rows for key, value in row.items() if value is not None)
    # Rows may differ in what they hold; the order of columns is that of their first appearance.
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key in present]
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for key in keys:
        numeric = all(_is_number(row[key]) for row in rows if row.get(key) is not None)
        head = key.replace("_", " ")
        table.add_column(
            head,
            justify="right" if numeric else "left",
            style="dim" if key == REFERENCE else "",
            no_wrap=not numeric,  # on a narrow terminal the heads of numbers give way first
            min_width=max(map(len, head.split())),
        )
    for row in rows:
        table.add_row(*(Text(value_text(row.get(key))) for key in keys))
    return table


def facts(known: Row) -> Table:
    """Return a table with one line for each entry that is not None; nested keys are joined."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _flat(known):
        table.add_row(Text(key), Text(value))
    return table


def _flat(known: Row, under: str = "") -> Iterator[tuple[str, str]]:
    for key, value in known.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{under}{key} ")
        elif value is not None:
            yield f"{under}{key}".replace("_", " "), value_text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_text(value: Any) -> str:
    """Return a value as text: three decimals, thousands separators, a dash for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _decimal(value)
    return ", ".join(map(value_text, value)) if isinstance(value, list | tuple) else str(value)


def _decimal(value: float) -> str:
    """Three decimals, more where they would be zeros (a learning rate), none in the thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"
