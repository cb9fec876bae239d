"""What all bodies have in common: strict types, and no field that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from unmask.errors import closest


class Wire(BaseModel):
    """A body, or a part of one.

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
        known = [each.alias or name for name, each in cls.model_fields.items()]
        for name in data:
            if name not in known and name not in cls.neutral:
                raise refused(name, unknown_field(name, [*known, *cls.neutral]))
        for name, values in cls.neutral.items():
            value = data.get(name)
            if value is not None and not any(value == each for each in values):
                raise refused(name, f"{name}={value!r:.80} cannot be honoured: leave it out")
        return {name: value for name, value in data.items() if name not in cls.neutral}


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return the message on a field that is not known."""
    close = closest(name, known)
    hint = f"did you mean {close!r}?" if close else "the known ones are listed at /docs"
    return f"unknown field {name!r}: {hint}"


def refused(param: str | None, message: str) -> PydanticCustomError:
    """Return the error of a field, for a validator to raise; None for the one it validates."""
    context = {"param": [] if param is None else [param], "message": message}
    return PydanticCustomError("refused", "{message}", context)
