"""Columns of a block as arrays: JSON lists, and pyarrow arrays without a copy.

R rows of a block, T values of all its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unmask.data.rows import Place, StoredPart, packed
from unmask.errors import DataError


def holds_text(values: Any) -> bool:
    """Return whether a column, None if missing, is text; the first value of a JSON one decides."""
    if values is None:
        return False
    if isinstance(values, list):
        return isinstance(next((value for value in values if value is not None), None), str)
    from pyarrow import types as kinds

    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def integers(values: Any, numbers: np.ndarray, place: Place, *, none: int) -> np.ndarray:
    """Return (R,) int64 of a column of whole numbers, with `none` for null."""
    found = _scalars(values, numbers, place, int, none, "; write a whole number")
    return np.array(found, dtype=np.int64)


def strings(values: Any, numbers: np.ndarray, place: Place, *, none: str | None) -> list[str]:
    """Return the texts (R,) of a column, with `none` for null; None: null is an error."""
    return _scalars(values, numbers, place, str, none, " instead of text")


def ragged(values: Any, numbers: np.ndarray, place: Place, flags: bool = False) -> StoredPart:
    """Return rows of integers in one array, without gaps. values: a column, None if missing.

    flags: whether true and false stand for 1 and 0. Raises DataError for rows that are missing, or
    not lists of integers.
    """
    if values is None:
        raise DataError(f"{place.describe(int(numbers[0]))}: the column is missing")
    if not isinstance(values, list):
        return _arrow(values, numbers, place, flags)
    kinds: set[type] = {int, bool} if flags else {int}
    rows = [_row(row, int(n), place, kinds) for row, n in zip(values, numbers, strict=True)]
    return packed(rows, numbers, place)


def listed(values: Any) -> list[Any]:
    """Return the values (R,) as Python objects."""
    return values if isinstance(values, list) else list(values.to_pylist())


def _scalars(
    values: Any, numbers: np.ndarray, place: Place, kind: type, none: Any, why: str
) -> list[Any]:
    found = [none if value is None else value for value in listed(values)]
    for value, number in zip(found, numbers, strict=True):
        if type(value) is not kind:
            shown = "nothing" if value is None else f"{value!r:.60}"
            raise DataError(f"{place.describe(number)}: {shown}{why}")
    return found


def _row(row: Any, number: int, place: Place, kinds: set[type]) -> np.ndarray:
    if not isinstance(row, list):
        shown = "nothing" if row is None else f"{row!r:.60}"
        raise DataError(f"{place.describe(number)}: {shown} instead of a list of ids")
    if kinds.issuperset(map(type, row)):
        try:
            return np.array(row, np.int64)
        except OverflowError:
            pass
    position, value = next(
        (at, v) for at, v in enumerate(row) if type(v) not in kinds or abs(v) >= 2**63
    )
    raise DataError(
        f"{place.describe(number)}, position {position} (counted from 0): {value!r:.60} instead of "
        "an id; ids are whole numbers"
    )


def _arrow(values: Any, numbers: np.ndarray, place: Place, flags: bool) -> StoredPart:
    from pyarrow import compute
    from pyarrow import types as kinds

    column, kind = f"{place.file}, column {place.column!r}", values.type
    if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)):
        raise DataError(f"{column}: values of type {kind} instead of lists of whole numbers")
    logical = flags and kinds.is_boolean(kind.value_type)
    if not (logical or kinds.is_integer(kind.value_type)):
        raise DataError(f"{column}: ids of type {kind.value_type}; store integers, such as int32")
    if values.null_count:
        row = int(numbers[values.is_null().to_pylist().index(True)])
        raise DataError(f"{place.describe(row)}: nothing instead of a list of ids")
    lengths = compute.list_value_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = values.flatten()
    found = (flat.is_null() if flat.null_count else flat).to_numpy(zero_copy_only=False)
    found = found.view(np.uint8) if found.dtype == bool else found
    part = StoredPart(found, np.cumsum(lengths) - lengths, lengths, numbers, place)
    if flat.null_count:
        raise DataError(f"{part.describe(int(found.argmax()))}: nothing instead of an id")
    return part
