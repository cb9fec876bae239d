"""Errors that say at which step and in which rows something went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unmask.errors import DenoiserError, UnmaskError
from unmask.inference import is_out_of_memory
from unmask.types import State

SHOWN = 8  # rows


@contextmanager
def placed(state: State, what: str) -> Iterator[None]:
    """Say at which step and rows an error came up; what is not ours becomes a DenoiserError.

    That memory ran out is passed on as it is: fewer rows may do, and callers look for its class.
    """
    try:
        yield
    except UnmaskError as error:
        raise type(error)(f"{error} ({where(state)})") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DenoiserError(
            f"{what} raised {type(error).__name__}: {error} ({where(state)})"
        ) from error


def where(state: State) -> str:
    """`step 3, rows [0, 2]`; of many rows the first ones."""
    rows = state.row[:SHOWN].tolist()
    more = f" and {len(state.row) - SHOWN} more" if len(state.row) > SHOWN else ""
    return f"step {int(state.step.max())}, rows {rows}{more}"
