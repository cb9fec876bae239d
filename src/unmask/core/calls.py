"""What public functions and classes are called with: numpy's numbers, and names misspelt.

A package calls `check_calls(__name__)` behind its `__all__`; one with functions that run within a
step names those that users call.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from functools import wraps
from types import FunctionType
from typing import Any

import numpy as np
from torch import nn

from unmask.errors import ArgumentError


def check_calls(module: str, *names: str) -> None:
    """Let the functions and classes of a module, by default of its `__all__`, check their calls.

    A number of numpy becomes Python's, and arguments that do not fit raise an ArgumentError with
    the nearest name. Of classes, this holds for constructors, class methods included, and for other
    public methods that take arguments, except those of parts, states and networks, which run at
    every step.
    """
    package = sys.modules[module]
    for name in names or package.__all__:
        value = getattr(package, name)
        if isinstance(value, FunctionType):
            checked = _checked(value)
            for place in (package, sys.modules[value.__module__]):
                setattr(place, name, checked)
        elif isinstance(value, type) and not getattr(value, "_is_protocol", False):
            _check_class(value)


def _check_class(kind: type) -> None:
    in_steps = is_dataclass(kind) or issubclass(kind, nn.Module)
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, classmethod | staticmethod):
            setattr(kind, name, type(member)(_checked(member.__func__)))
        elif isinstance(member, FunctionType):
            told = not in_steps and len(inspect.signature(member).parameters) > 1
            if told or name == "__init__":
                setattr(kind, name, _checked(member))


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its calls checked, once."""
    if hasattr(function, "__wrapped__"):
        return function

    @wraps(function)
    def checked(*args: Any, **named: Any) -> Any:
        try:
            plain = [a.item() if isinstance(a, np.generic) else a for a in args]
            if named:
                named = {k: v.item() if isinstance(v, np.generic) else v for k, v in named.items()}
            return function(*plain, **named)
        except TypeError as error:
            explained = _explained(function, error, named)
            if explained is None:
                raise
            raise explained from None

    return checked


def _explained(
    function: Callable[..., Any], error: TypeError, named: Iterable[str]
) -> ArgumentError | None:
    """Return what is wrong with a call; None where the error arose in the function."""
    parameters = inspect.signature(function).parameters.values()
    variable = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
    known = [p.name for p in parameters if p.name not in ("self", "cls", *variable)]
    name = function.__qualname__.removesuffix(".__init__")
    if error.__traceback__ is not None and error.__traceback__.tb_next is None:
        unknown = [each for each in named if each not in known]
        if unknown and not variable:
            optional = [p.name for p in parameters if p.default is not p.empty]
            return ArgumentError.unknown(name, unknown[0], known, optional)
        message = str(error).replace(".__init__()", "()")
        return ArgumentError(f"{message}; its arguments: {', '.join(known)}")
    # handed on by **options
    if isinstance(error, ArgumentError) and error.argument and error.argument in set(named):
        return ArgumentError.unknown(name, error.argument, [*known, *error.optional])
    return None
