"""Values of a recipe, checked by pydantic against the types and limits of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from unmask.core.checks import as_integer
from unmask.errors import InputError, MissingExtraError, StrategyError
from unmask.training.setting_files import parse_yaml

LIMITS = ("ge", "lt")  # entries of a field's metadata: at least, and below
_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    dict: "a section of entries",
    Any: "anything",
}


def convert(
    hint: Any,
    value: Any,
    where: str,
    limits: Mapping[str, Any] | None = None,
    kind: type[InputError] = InputError,
) -> Any:
    """Return a value converted to a type within limits; an int may stand for a float, no more.

    Raises an error of `kind` that begins with `where`.
    """
    within = tuple((name, limits[name]) for name in LIMITS if limits and name in limits)
    adapter = _adapter(hint, within)
    whole = as_integer(value)  # of numpy, too
    try:
        return adapter.validate_python(value if whole is None else whole)
    except ValueError as error:  # pydantic's ValidationError
        first: Any = error.errors()[0]  # type: ignore[attr-defined]
    place = first["loc"]
    if first["type"] in ("greater_than_equal", "less_than", "finite_number"):
        got = "" if where.endswith(repr(value)) else f", not {value!r}"
        raise kind(f"{where}: pass {_limited(within) or 'a finite number'}{got}")
    if not place or get_origin(hint) in (Union, UnionType):
        told = f"expected {expected(hint)}, got {value!r}{_advice(hint, value)}"
    elif first["type"] in ("missing", "too_long"):
        told = f"expected {expected(hint)}, got {len(value)} values"
    elif place[-1] == "[key]":
        where, told = f"{where}, key {place[0]!r}", f"expected text, got {place[0]!r}"
    else:
        inner = get_args(hint)[0]
        where, told = f"{where}[{place[0]}]", f"expected {expected(inner)}, got {first['input']!r}"
    raise kind(f"{where}: {told}")


def convert_text(hint: Any, text: str, where: str, limits: Mapping[str, Any] | None = None) -> Any:
    """Return text from the command line converted to a type: as YAML, or unchanged for a str."""
    try:
        return convert(hint, parse_yaml(text, where), where, limits)
    except InputError:
        if str in _choices(hint):
            return text
        raise


def checked_fields(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Return the fields of a dataclass, converted. Raises StrategyError for one that cannot be.

    Without pydantic they are returned as they are: training, which needs more, names the extra.
    """
    hints, found = get_type_hints(type(settings)), {}
    for field in fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if is_dataclass(hint):
            if not isinstance(value, hint):  # type: ignore[arg-type]
                name = hint.__name__  # type: ignore[union-attr]
                raise StrategyError(f"{field.name}={value!r}: pass a {name}, such as {name}()")
            checked_fields(value, f"{field.name}.")
        else:
            where = f"{prefix}{field.name}={value!r}"
            try:
                value = convert(hint, value, where, field.metadata, StrategyError)
            except MissingExtraError:
                return {}
        found[field.name] = value
    return found


def expected(hint: Any) -> str:
    """Return a description of a type."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(expected(part) for part in inner)
    if kind is Literal:
        return "one of " + ", ".join(map(repr, inner))
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}: {', '.join(expected(part) for part in inner)}"
    if kind in (list, tuple):
        return "a list" + (f", each {expected(inner[0])}" if inner else "")
    return _NAMES.get(kind) or str(kind)


@lru_cache(maxsize=128)
def _adapter(hint: Any, limits: tuple[tuple[str, Any], ...]) -> Any:
    """Return pydantic's validator of a type, which converts nothing but ints and lists."""
    try:
        from pydantic import ConfigDict, Field, Strict, TypeAdapter
    except ImportError:
        raise MissingExtraError("recipes need pydantic: pip install 'unmask[train]'") from None
    if get_origin(hint) is tuple:  # files have lists
        hint = Annotated[hint, Strict(False)]
    hint = Annotated[hint, Field(**dict(limits))]
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _limited(limits: tuple[tuple[str, Any], ...]) -> str:
    """Return limits in words: `0 or more and below 1`."""
    words = {"ge": "{:g} or more", "lt": "below {:g}"}
    return " and ".join(words[name].format(limit) for name, limit in limits)


def _choices(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _advice(hint: Any, value: Any) -> str:
    """Return advice on writing the value that was probably meant."""
    wanted = _choices(hint)
    if isinstance(value, bool | int | float) and str in wanted:
        return "; write a text in quotes"
    if isinstance(value, float) and value.is_integer() and int in wanted:
        return f"; write {int(value)}"
    return ""
