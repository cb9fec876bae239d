"""Errors that say at which step and in which rows something went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unmask.core.inference import is_out_of_memory
from unmask.core.rows import Rows
from unmask.errors import DenoiserError, UnmaskError

SHOWN = 8  # rows


@contextmanager
def error_context(rows: Rows, what: str) -> Iterator[None]:
    """Add the step and the rows to an error; what is not ours becomes a DenoiserError.

    That memory ran out is passed on as it is: fewer rows may do, and callers look for its class.
    """
    try:
        yield
    except UnmaskError as error:
        raise type(error)(f"{error} ({location(rows)})") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DenoiserError(
            f"{what} raised {type(error).__name__}: {error} ({location(rows)})"
        ) from error


def location(rows: Rows) -> str:
    """`step 3, rows [0, 2]`; of many rows the first ones."""
    shown = rows.index[:SHOWN].tolist()
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"step {int(rows.step.max())}, rows {shown}{more}"
