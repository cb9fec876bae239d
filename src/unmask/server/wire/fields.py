"""What all bodies have in common: strict types, and no field that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from unmask.errors import closest

LONGEST = 80
"""Characters of a name or a value that an error repeats."""
MOST = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=MOST)]
"""A number of things."""
Item = TypeVar("Item")
Listed = Annotated[list[Item], Field(fail_fast=True)]
"""A list that is checked up to its first mistake, for each takes memory."""
Name = Annotated[str, Field(max_length=4096)]
"""A name of a model or a preset, which is compared with those that are known."""


class Wire(BaseModel):
    """A body, or a part of one. A field that is null is one that is left out.

    neutral: fields of OpenAI's that are not honoured, by name, and the values at which they change
    nothing; null is one of them always.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )
    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        named = {each.alias or name: each for name, each in cls.model_fields.items()}
        known = [*named]
        for name in data:
            if name not in known and name not in cls.neutral:
                raise refused(name, unknown_field(name, [*known, *cls.neutral]))
        for name, values in cls.neutral.items():
            value = data.get(name)
            if value is not None and not any(_is(value, each) for each in values):
                raise refused(name, f"{name}={value!r:.80} cannot be honoured: leave it out")
        return {
            name: value
            for name, value in data.items()
            if name in named and (value is not None or named[name].is_required())
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema: what may be left out may be null, and neutral values may be given."""
        given = handler(core_schema)
        found = handler.resolve_ref_schema(given)
        properties, required = found.get("properties", {}), found.get("required", [])
        for name, schema in properties.items():
            if name not in required and {"type": "null"} not in schema.get("anyOf", ()):
                about = {key: schema.pop(key) for key in ("title", "default") if key in schema}
                properties[name] = {"anyOf": [schema, {"type": "null"}], **about}
        for name, values in cls.neutral.items():
            properties[name] = {
                "enum": [*values, None],
                "description": "of OpenAI's API; only values that change nothing",
            }
        return given


def _is(value: Any, other: Any) -> bool:
    """Return whether two values are equal; false is not 0."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return the message on a field that is not known."""
    close = closest(name, known) if len(name) <= LONGEST else None
    hint = f"did you mean {close!r}?" if close else "the known ones are listed at /docs"
    return f"unknown field {name!r:.{LONGEST}}: {hint}"


def refused(param: str | None, message: str) -> PydanticCustomError:
    """Return the error of a field, for a validator to raise; None for the one it validates."""
    context = {"param": [] if param is None else [f"{param:.{LONGEST}}"], "message": message}
    return PydanticCustomError("refused", "{message}", context)
