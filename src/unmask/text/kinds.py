"""Kinds of JSON schemas: which values have a type, and which schemas have no value in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

from unmask.core.checks import is_integer

_VALUES = 64  # of all properties of a schema that are looked at, for each is compared with each


class Place(Protocol):
    """A schema within a schema."""

    @property
    def schema(self) -> Any: ...

    def referred(self) -> Place:
        """Return the schema that $ref names."""


def is_of(value: Any, kind: str) -> bool:
    """Return whether a value has a type of JSON schemas."""
    if kind == "integer":
        return is_integer(value) or (isinstance(value, float) and value.is_integer())
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    kinds: dict[str, Any] = {
        "object": Mapping, "array": (list, tuple), "string": str, "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    return isinstance(value, kinds[kind])


def apart(parts: Sequence[Place]) -> bool:
    """Return whether no value has two of these schemas, by types or by a property of objects."""
    told = [_told(part) for part in parts]
    return all(
        any(
            not any(a == b for a in one[name] for b in other[name]) for name in one if name in other
        )
        for one, other in combinations(told, 2)
    )


def _told(place: Place) -> dict[str | None, list[Any]]:
    """The type of a schema as None, and the values of required properties that list some."""
    while isinstance(place.schema, Mapping) and "$ref" in place.schema:
        place = place.referred()
    given = place.schema
    kind = given.get("type") if isinstance(given, Mapping) else None
    if not isinstance(kind, str):
        return {}
    found: dict[str | None, list[Any]] = {None: ["number" if kind == "integer" else kind]}
    properties, required = given.get("properties"), given.get("required")
    if kind != "object" or not isinstance(properties, Mapping) or not isinstance(required, list):
        return found
    left = _VALUES
    for name in dict.fromkeys(each for each in required if isinstance(each, str)):
        schema = properties.get(name)
        if not isinstance(schema, Mapping):
            continue
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list) and len(values) <= left:
            found[name] = values
            left -= len(values)
    return found
