"""Fields of bodies whose rows are texts: how long they are, their end and their form."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from unmask.server.wire.decoding import Decoding
from unmask.server.wire.fields import Count, Listed, Wire, refused

NOTHING: tuple[Any, ...] = ({}, [])
_PLAIN = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
_NESTED = [
    {"type": "array", "items": {"anyOf": _PLAIN}},
    {"type": "object", "additionalProperties": {"anyOf": _PLAIN}},
]
JSON_OBJECT = {"type": "object", "additionalProperties": {"anyOf": [*_PLAIN, *_NESTED]}}
"""The schema of json_object: JSON of any depth has no automaton, so it is two levels deep."""

MOST_STOPS = 64  # each is looked for after each step
MOST_CHOICES = 10_000
LONGEST_REGEX = 65_536  # characters, which Python's parser reads
Stops = str | Annotated[list[str], Field(max_length=MOST_STOPS)]


def stops_of(given: Any) -> Any:
    """Return the texts that end one, as a list."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise refused(None, "stop is a text, or a list of texts")
    if "" in texts:
        raise refused(None, "stop has an empty text, which is everywhere: leave it out")
    if len(texts) > MOST_STOPS:
        raise refused(None, f"stop has {len(texts):,} texts: pass {MOST_STOPS} at most")
    return texts


def schema_of(given: Any) -> Any:
    """Return a schema, an object or a truth value."""
    if not isinstance(given, dict | bool):
        raise refused(None, "schema is an object, such as {'type': 'object'}")
    return given


class NamedSchema(Wire):
    """OpenAI's wrapping of a schema. strict: texts of a schema keep it always."""

    name: str = ""
    description: str | None = None
    schema_: Annotated[dict[str, Any] | bool, BeforeValidator(schema_of)] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """The form of a text: any, a JSON object of two levels, or that of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _check_schema(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise refused(None, "json_schema goes with type='json_schema': pass both or neither")
        return self


class Texts(Decoding):
    """Fields about texts.

    max_tokens, max_completion_tokens: the most of each text. stop: texts that end one. regex,
    choices: forms beside response_format. likeliest: the tokens of a step are the likeliest
    together that the form allows.
    """

    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {
        "frequency_penalty": (0,),
        "presence_penalty": (0,),
        "metadata": NOTHING,
        "store": (False,),
        "service_tier": ("auto", "default"),
        "safety_identifier": (),
        "prompt_cache_key": (),
    }
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: Annotated[list[str], BeforeValidator(stops_of, json_schema_input_type=Stops)] = Field(
        default_factory=list
    )
    response_format: ResponseFormat | None = None
    regex: str | None = Field(None, max_length=LONGEST_REGEX)
    choices: Listed[str] | None = Field(None, max_length=MOST_CHOICES)
    likeliest: bool = False

    @model_validator(mode="after")
    def _check_texts(self) -> Texts:
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise refused("max_tokens", "max_tokens and max_completion_tokens differ: pass one")
        named = self.forms
        if len(named) > 1:
            raise refused(named[1], f"{named[0]} and {named[1]} are both given: pass one of them")
        return self

    @property
    def most(self) -> int | None:
        """The most tokens of a text, None where nothing is said."""
        return self.max_tokens if self.max_tokens is not None else self.max_completion_tokens

    @property
    def forms(self) -> list[str]:
        """The fields that say a form; one at most, once they are checked."""
        form = self.response_format
        given = {
            "response_format": form is not None and form.type != "text",
            "regex": self.regex is not None,
            "choices": self.choices is not None,
        }
        return [name for name, there in given.items() if there]

    @property
    def form(self) -> dict[str, Any]:
        """The arguments of `TextModel.complete` about the form."""
        schema: Any = None
        if self.response_format is not None:
            named = self.response_format.json_schema
            schema = JSON_OBJECT if self.response_format.type == "json_object" else None
            schema = schema if named is None else named.schema_
        forms = {"regex": self.regex, "json_schema": schema, "choices": self.choices}
        return {**forms, "likeliest": self.likeliest}
