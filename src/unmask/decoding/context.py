"""Errors that say at which step and in which rows something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import is_integer
from unmask.core.inference import is_out_of_memory
from unmask.core.rows import Rows
from unmask.errors import DenoiserError, StrategyError, UnmaskError

SHOWN = 8  # rows


@contextmanager
def error_context(rows: Rows, what: str, kind: type[UnmaskError] = DenoiserError) -> Iterator[None]:
    """Add the step and the rows to an error; any other error becomes one of `kind`.

    That memory ran out is passed on as it is: fewer rows may do, and callers look for its class.
    """
    try:
        yield
    except UnmaskError as error:
        raise type(error)(f"{error} ({location(rows)})") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise kind(f"{what} raised {type(error).__name__}: {error} ({location(rows)})") from error


def ask(
    function: Callable[..., Any],
    *given: Any,
    what: str,
    rows: Rows,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.bool,
    optional: bool = False,
) -> Any:
    """Call a method of a part of the strategy, and return the tensor that it answers.

    what: the part, as errors name it. Raises StrategyError for an error in it, and for anything
    but a tensor of this shape and dtype, None where that is optional, or an id in place of ids.
    """
    with error_context(rows, what, StrategyError):
        answer = function(*given)
        if isinstance(answer, Tensor) and answer.shape == shape and answer.dtype == dtype:
            return answer
        if (answer is None and optional) or (dtype == torch.int64 and is_integer(answer)):
            return answer
        raise StrategyError(
            f"{what} returned {described(answer)}: return a tensor of {dtype} of shape "
            f"{tuple(shape)}"
        )


def described(answer: object) -> str:
    """`torch.bool of shape (2, 3)`, or the type of what is no tensor."""
    if isinstance(answer, Tensor):
        return f"{answer.dtype} of shape {tuple(answer.shape)}"
    return "None" if answer is None else f"a {type(answer).__name__}"


def location(rows: Rows) -> str:
    """`step 3, rows [0, 2]`; of many rows the first ones."""
    shown = rows.index[:SHOWN].tolist()
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"step {int(rows.step.max())}, rows {shown}{more}"
