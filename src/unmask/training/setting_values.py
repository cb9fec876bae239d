"""Fields of settings, checked by pydantic: which values fit, and what is told of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from functools import lru_cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from unmask.core.checks import as_integer
from unmask.errors import InputError, MissingExtraError, StrategyError
from unmask.training.setting_files import parse_yaml

LIMITS = {"ge": "{:g} or more", "lt": "below {:.12g}"}  # entries of a field's metadata, in words
_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    dict: "a section of entries",
    Any: "anything",
}


def validated(
    kind: Any,
    values: Mapping[str, Any],
    where: Callable[[str], str],
    error: type[InputError] = InputError,
) -> dict[str, Any]:
    """Return values of the fields of a dataclass that are no sections, converted to their types.

    An int may stand for a float, numpy's integer for an int, and a list for a tuple. Raises an
    error of this class, which begins with `where(name)`, for the first that is missing or wrong.
    """
    plain = {name: as_integer(value) for name, value in values.items()}
    plain = {name: values[name] if value is None else value for name, value in plain.items()}
    try:
        return dict(_model(kind).model_validate(plain))
    except ValueError as found:
        first: Any = found.errors()[0]  # type: ignore[attr-defined]
    (field,) = (each for each in settable(kind) if each.name == first["loc"][0])
    raise error(_told(where(field.name), field, get_type_hints(kind)[field.name], values, first))


def from_text(hint: Any, text: str, where: str) -> Any:
    """Return text of the command line as YAML, or as it is where only a text fits."""
    wanted = choices(hint)
    try:
        value = parse_yaml(text, where)
    except InputError:
        if str in wanted:
            return text
        raise
    fits = isinstance(value, str) or (value is None and NoneType in wanted)
    return value if fits or str not in wanted else text


def checked_fields(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Return the fields of a dataclass, converted. Raises StrategyError for one that cannot be.

    Without pydantic they are returned as they are: training, which needs more, names the extra.
    """
    given = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name, hint in get_type_hints(type(settings)).items():
        if is_dataclass(hint):
            assert isinstance(hint, type)
            if not isinstance(section := given.pop(name), hint):
                wanted = hint.__name__
                raise StrategyError(f"{name}={section!r}: pass a {wanted}, such as {wanted}()")
            checked_fields(section, f"{name}.")
    try:
        return validated(
            type(settings), given, lambda name: f"{prefix}{name}={given[name]!r}", StrategyError
        )
    except MissingExtraError:
        return given


def expected(hint: Any) -> str:
    """Return a description of a type."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(expected(part) for part in inner)
    if kind is Literal:
        return "one of " + ", ".join(map(repr, inner))
    if kind is tuple and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}: {', '.join(expected(part) for part in inner)}"
    if kind in (list, tuple):
        return f"a list, each {expected(inner[0])}"
    return _NAMES.get(kind) or str(kind)


def settable(kind: type[Any]) -> list[Field[Any]]:
    """Return the fields that are arguments of a dataclass."""
    return [field for field in fields(kind) if field.init]


@lru_cache(maxsize=16)
def _model(kind: type[Any]) -> Any:
    """Return a pydantic model with the fields of a dataclass that are no sections."""
    try:
        from pydantic import ConfigDict, Field, Strict, create_model
    except ImportError:
        raise MissingExtraError("recipes need pydantic: pip install 'unmask[train]'") from None
    hints, found = get_type_hints(kind), dict[str, Any]()
    for field in settable(kind):
        hint = hints[field.name]
        limits = {key: field.metadata[key] for key in LIMITS if key in field.metadata}
        if not is_dataclass(hint):
            found[field.name] = (Annotated[_listed(hint, Strict(False)), Field(**limits)], ...)
    config = ConfigDict(strict=True, allow_inf_nan=False)
    return create_model(kind.__name__, __config__=config, **found)


def _listed(hint: Any, lax: Any) -> Any:
    """Return a type whose tuples may be given as lists, as files have them."""
    if get_origin(hint) in (Union, UnionType):
        return reduce(or_, (_listed(part, lax) for part in get_args(hint)))
    return Annotated[hint, lax] if get_origin(hint) is tuple else hint


def _told(where: str, field: Field[Any], hint: Any, values: Mapping[str, Any], error: Any) -> str:
    """Return the message on a field that pydantic refused."""
    if field.name not in values:
        return f"{where}: has no value; give it {expected(hint)}, as {field.name}=VALUE"
    value, place = values[field.name], error["loc"][1:]
    if error["type"] in ("greater_than_equal", "less_than", "finite_number"):
        within = [
            text.format(field.metadata[k]) for k, text in LIMITS.items() if k in field.metadata
        ]
        got = "" if where.endswith(repr(value)) else f", not {value!r}"
        finite = ["a finite number"] if error["type"] == "finite_number" else []
        return f"{where}: pass {', '.join([*(within and [' and '.join(within)]), *finite])}{got}"
    if error["type"] in ("missing", "too_long"):
        return f"{where}: expected {expected(hint)}, got {len(value)} values"
    if place and place[-1] == "[key]":
        return f"{where}, key {place[0]!r}: expected text, got {place[0]!r}"
    if place and get_origin(hint) in (list, tuple):
        where, hint, value = f"{where}[{place[0]}]", get_args(hint)[0], error["input"]
    return f"{where}: expected {expected(hint)}, got {value!r}{_advice(choices(hint), value)}"


def choices(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _advice(wanted: tuple[Any, ...], value: Any) -> str:
    """Return advice on writing the value that was probably meant."""
    if isinstance(value, bool | int | float) and str in wanted:
        return "; write a text in quotes"
    if isinstance(value, float) and value.is_integer() and int in wanted:
        return f"; write {int(value)}"
    return ""
