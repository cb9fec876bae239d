"""Columns of a block as arrays: JSON lists, and pyarrow arrays without a copy.

R rows of a block, T values of all its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unmask.core.checks import is_integer
from unmask.data.rows import Place, StoredPart, packed
from unmask.errors import DataError


def listed(values: Any) -> list[Any]:
    """Return the values (R,) as Python objects."""
    return values if isinstance(values, list) else list(values.to_pylist())


def column_kind(values: Any) -> str:
    """Return "text" or, for anything else, "ids"; the first value of a JSON column decides."""
    if values is None:
        return "ids"
    if isinstance(values, list):
        first = next((value for value in values if value is not None), None)
        return "text" if isinstance(first, str) else "ids"
    import pyarrow.types as kinds

    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    return "text" if kinds.is_string(kind) or kinds.is_large_string(kind) else "ids"


def ragged(values: Any, numbers: np.ndarray, place: Place, flags: bool = False) -> StoredPart:
    """Return rows of integers in one array, without gaps. values: a column, None if missing.

    flags: whether true and false stand for 1 and 0. Raises DataError for rows that are missing, or
    not lists of integers.
    """
    if isinstance(values, list):
        if flags:
            values = [[*map(_flag, row)] if isinstance(row, list) else row for row in values]
        rows = [_row(row, int(number), place) for row, number in zip(values, numbers, strict=True)]
        return packed(rows, [int(number) for number in numbers], place)
    if values is None:
        raise DataError(f"{place.describe(int(numbers[0]))}: the column is missing")
    return _arrow(values, numbers, place, flags)


def _flag(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _row(row: Any, number: int, place: Place) -> np.ndarray:
    if not isinstance(row, list):
        shown = "nothing" if row is None else f"{row!r:.60}"
        raise DataError(f"{place.describe(number)}: {shown} instead of a list of ids")
    try:
        array = np.array(row if row else np.zeros(0, np.int64))
    except (ValueError, OverflowError):
        array = np.zeros(0, dtype=object)
    if array.ndim == 1 and array.dtype.kind == "i":
        return array
    _refuse(row, number, place)
    raise DataError(
        f"{place.describe(number)}: not a flat list of ids; write one, such as [3, 1, 4]"
    )


def _refuse(row: list[Any], number: int, place: Place) -> None:
    """Raise DataError for the first entry of a row that is not an id."""
    for position, value in enumerate(row):
        if not (is_integer(value) and abs(value) < 2**63):
            raise DataError(
                f"{place.describe(number)}, position {position} (counted from 0): {value!r:.60} "
                "instead of an id; ids are whole numbers"
            )


def _arrow(values: Any, numbers: np.ndarray, place: Place, flags: bool) -> StoredPart:
    import pyarrow.types as kinds

    fixed = kinds.is_fixed_size_list(values.type)
    if not (fixed or kinds.is_list(values.type) or kinds.is_large_list(values.type)):
        raise DataError(
            f"{place.file}, column {place.column!r}: values of type {values.type} instead of "
            "lists of whole numbers"
        )
    logical = flags and kinds.is_boolean(values.type.value_type)
    if not (logical or kinds.is_integer(values.type.value_type)):
        raise DataError(
            f"{place.file}, column {place.column!r}: ids of type {values.type.value_type}; "
            "store integers, such as int32"
        )
    for row in np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[:1]:
        raise DataError(f"{place.describe(int(numbers[row]))}: nothing instead of a list of ids")
    if fixed:
        lengths = np.full(len(values), values.type.list_size, dtype=np.int64)
    else:
        lengths = np.diff(values.offsets.to_numpy()).astype(np.int64)
    flat = values.flatten()
    starts = np.cumsum(lengths) - lengths
    if flat.null_count:
        position = int(np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))[0])
        row = int(np.searchsorted(starts, position, side="right")) - 1
        raise DataError(
            f"{place.describe(int(numbers[row]))}, position {position - int(starts[row])} (counted "
            "from 0): nothing instead of an id"
        )
    found = flat.to_numpy(zero_copy_only=not logical)
    return StoredPart(found.view(np.uint8) if logical else found, starts, lengths, numbers, place)
