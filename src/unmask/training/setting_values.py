"""Values of a recipe, checked against the types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from unmask.errors import InputError
from unmask.training.setting_files import parse_yaml

_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    NoneType: "null",
    dict: "a section of entries",
    Any: "anything",
}


def convert(hint: Any, value: Any, where: str) -> Any:
    """Return a value converted to a type. Raises InputError, beginning with `where`."""
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return _one_of(hint, value, where)
    if kind in (list, tuple) and isinstance(value, list | tuple):
        return kind(_items(hint, value, where))
    if kind is dict and isinstance(value, Mapping):
        return _entries(hint, value, where)
    if not _fits(hint, value):
        raise InputError(f"{where}: expected {expected(hint)}, got {value!r}{_advice(hint, value)}")
    return kind(value) if kind in (float, Path) else value


def convert_text(hint: Any, text: str, where: str) -> Any:
    """Return text from the command line converted to a type: as YAML, or unchanged for a str."""
    try:
        return convert(hint, parse_yaml(text, where), where)
    except InputError:
        if str in _choices(hint):
            return text
        raise


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


def _fits(hint: Any, value: Any) -> bool:
    """Return whether a value, not a list or section, is of a type."""
    if hint is Any:
        return True
    if get_origin(hint) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    accepted = {float: (int, float), Path: (str, Path)}.get(hint, hint)
    return (
        get_origin(hint) is None and hint not in (list, tuple, dict) and isinstance(value, accepted)
    )


def _choices(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _one_of(hint: Any, value: Any, where: str) -> Any:
    # 5 is read as an int before a float, in any order of the union.
    for part in sorted(get_args(hint), key=lambda one: one is float):
        try:
            return convert(part, value, where)
        except InputError:
            continue
    raise InputError(f"{where}: expected {expected(hint)}, got {value!r}{_advice(hint, value)}")


def _items(hint: Any, value: Any, where: str) -> list[Any]:
    inner = get_args(hint) or (Any, ...)
    if get_origin(hint) is list or inner[-1] is Ellipsis:
        inner = inner[:1] * len(value)
    if len(inner) != len(value):
        raise InputError(f"{where}: expected {expected(hint)}, got {len(value)} values")
    pairs = enumerate(zip(inner, value, strict=True))
    return [convert(part, item, f"{where}[{index}]") for index, (part, item) in pairs]


def _entries(hint: Any, value: Mapping[Any, Any], where: str) -> dict[Any, Any]:
    key_hint, item_hint = get_args(hint) or (Any, Any)
    return {
        convert(key_hint, key, f"{where}, key {key!r}"): convert(item_hint, item, f"{where}.{key}")
        for key, item in value.items()
    }


def _advice(hint: Any, value: Any) -> str:
    """Return advice on writing the value that was probably meant."""
    wanted = _choices(hint)
    if isinstance(value, bool | int | float) and str in wanted:
        return "; write a text in quotes"
    if isinstance(value, float) and value.is_integer() and int in wanted:
        return f"; write {int(value)}"
    return ""
