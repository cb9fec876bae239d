"""Errors that say at which step and in which rows something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import is_integer
from unmask.core.inference import is_out_of_memory
from unmask.core.rows import Rows
from unmask.core.state import State
from unmask.errors import DenoiserError, StrategyError, UnmaskError

SHOWN = 8  # rows


class error_context:
    """Add the step and the rows to an error that names none; others become one of `kind`.

    That memory ran out is passed on as it is: fewer rows may do, and callers look for its class.
    """

    __slots__ = ("kind", "rows", "what")

    def __init__(
        self, rows: Rows | Sequence[Rows], what: str, kind: type[UnmaskError] = DenoiserError
    ):
        self.rows, self.what, self.kind = rows, what, kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, Exception) or is_out_of_memory(error):
            return
        if not isinstance(error, UnmaskError):
            where = location(self.rows)
            message = f"{self.what} raised {type(error).__name__}: {error} ({where})"
            raise self.kind(message, rows=_index(self.rows)) from error
        if not error.rows:
            located = type(error)(f"{error} ({location(self.rows)})")  # of a user's own class
            located.rows = _index(self.rows)
            raise located from error.__cause__ or error


def _parts(rows: Rows | Sequence[Rows]) -> Sequence[Rows]:
    return [rows] if isinstance(rows, Rows) else rows


def _index(rows: Rows | Sequence[Rows]) -> tuple[int, ...]:
    """The rows by name, each once."""
    return tuple(dict.fromkeys(i for part in _parts(rows) for i in part.index.tolist()))


def ask(
    function: Callable[..., Any],
    *given: Any,
    what: str,
    of: State,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype = torch.bool,
    optional: bool = False,
) -> Any:
    """Call a method of a part of the strategy, and return the tensor that it answers.

    what: the part, as errors name it. of: the state that it is asked for; shape is (B,N) unless
    given. Raises StrategyError for an error in it, and for anything but a tensor of this shape and
    dtype, None where that is optional, or an id in place of ids.
    """
    shape = of.tokens.shape if shape is None else shape
    with error_context(of.rows, what, StrategyError):
        answer = function(*given)
        if isinstance(answer, Tensor) and answer.shape == shape and answer.dtype == dtype:
            return answer
        if (answer is None and optional) or (dtype == torch.int64 and is_integer(answer)):
            return answer
        raise StrategyError(
            f"{what} returned {kind_of(answer)}: return a tensor of {dtype} of shape {tuple(shape)}"
        )


def named(kind: str, part: object) -> str:
    """`the commit rule Threshold`."""
    return f"the {kind} {type(part).__name__}"


def kind_of(answer: object) -> str:
    """`torch.bool of shape (2, 3)`, or the type of what is no tensor."""
    if isinstance(answer, Tensor):
        return f"{answer.dtype} of shape {tuple(answer.shape)}"
    return "None" if answer is None else f"a {type(answer).__name__}"


def location(rows: Rows | Sequence[Rows]) -> str:
    """`step 3, rows [0, 2]`; of many rows the first ones, and the step of the furthest."""
    index = _index(rows)
    more = f" and {len(index) - SHOWN} more" if len(index) > SHOWN else ""
    step = max(int(part.step.max()) for part in _parts(rows))
    return f"step {step}, rows {list(index[:SHOWN])}{more}"
