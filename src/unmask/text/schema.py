"""JSON schemas as regular expressions of their texts.

Only what can be kept is taken: each keyword is written into the expression, or refused with its
place. Properties come in the order of the schema, with at most one space beside a sign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from unmask.core.checks import is_integer
from unmask.errors import InputError, nearest
from unmask.text.formats import FORMATS
from unmask.text.kinds import apart, is_of
from unmask.text.numbers import integers_between
from unmask.text.patterns import any_of, byte_automaton, check_regex

_PLAIN = r'[^"\\\x00-\x1f]'
_CHARACTER = rf'(?:{_PLAIN}|\\["\\/bfnrt]|\\u00[01][0-9a-f])'
_STRING = f'"{_CHARACTER}*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_LONGEST = 250_000  # characters of an expression, at most: more have no automaton of a usual size
_REFERENCES = 64  # within one another, at most
_ONE_OF = 64  # schemas, at most: each is compared with each
_DIGITS = 64  # of bounds, at most: the expression grows with their square
_NOTES = {
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$schema", "$id", "$comment", "$defs", "definitions", "discriminator",
}  # fmt: skip
_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "number": (),
    "boolean": (),
    "null": (),
}
_JOINED = ("$ref", "anyOf", "oneOf", "allOf", "enum", "const")


def schema_regex(schema: Any) -> str:
    """Return the regular expression of the JSON texts of a schema, a dict or its JSON.

    Raises InputError, with the place, for what is wrong or cannot be kept.
    """
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise InputError(f"json_schema is no JSON: {error}") from error
    return _Place(schema, schema, "$").regex()


@dataclass(frozen=True)
class _Place:
    """A schema within a schema. within: the references that lead here."""

    schema: Any
    root: Any
    path: str
    within: tuple[str, ...] = ()

    def error(self, what: str) -> InputError:
        return InputError(f"json_schema at {self.path}: {what}")

    def below(self, schema: Any, path: str) -> _Place:
        return _Place(schema, self.root, f"{self.path}{path}", self.within)

    def regex(self) -> str:
        """Return the expression of the texts of this schema, in brackets where it needs them."""
        return self.checked(self._regex())

    def checked(self, expression: str) -> str:
        """Return an expression. Raises InputError for one that is too long."""
        if len(expression) > _LONGEST:
            raise self.error(
                f"its expression has more than {_LONGEST:,} characters, because properties that "
                "may be left out and references are written out: write a smaller schema"
            )
        return expression

    def _regex(self) -> str:
        given = self.schema
        if not isinstance(given, Mapping):
            raise self.error(
                f"{given!r:.80} is no schema: pass a dict such as {{'type': 'string'}}"
            )
        joined = [name for name in _JOINED if name in given]
        if joined:
            return self._joined(joined)
        types = self._types()
        known = {*_NOTES, "type", *(word for each in types for word in _KEYWORDS[each])}
        for word in given:
            if word not in known:
                listed = known - _NOTES
                raise self.error(
                    f"{word!r} is not kept for {' or '.join(types)}: {nearest(word, listed)}"
                )
        return _either([_OF_TYPE[each](self) for each in types])

    def _types(self) -> list[str]:
        """Return the types of the texts."""
        given = self.schema.get("type")
        if given is None:
            found = [each for each in ("object", "array") if {*self.schema} & {*_KEYWORDS[each]}]
            if len(found) != 1:
                raise self.error("no type: JSON of any depth has no automaton, so say a type")
            return found
        types = [given] if isinstance(given, str) else given
        if not isinstance(types, Sequence) or not types:
            raise self.error(f"type={given!r}: pass a name, such as 'string', or a list of them")
        for each in types:
            if not isinstance(each, str) or each not in _KEYWORDS:
                raise self.error(f"type {each!r}: {nearest(str(each), _KEYWORDS)}")
        return [*dict.fromkeys(types)]

    def _joined(self, words: list[str]) -> str:
        """Return the expression of a choice among schemas or values."""
        word, given = words[0], self.schema[words[0]]
        beside = {*self.schema} - _NOTES - {word}
        if word in ("enum", "const"):
            beside -= {"type"}
        if beside:
            raise self.error(f"{word!r} beside {sorted(beside)[0]!r} is not kept: leave one out")
        if word == "$ref":
            return self.referred().regex()
        if word == "const":
            return self._values([given])
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise self.error(f"{word}={given!r:.80}: pass a list that is not empty")
        if word == "enum":
            return self._values(given)
        parts = [self.below(each, f".{word}[{i}]") for i, each in enumerate(given)]
        if word == "allOf" and len(parts) > 1:
            raise self.error("'allOf' of several schemas is not kept: write them as one")
        if word == "oneOf" and len(parts) > _ONE_OF:
            raise self.error(f"'oneOf' of {len(parts):,} schemas: write 'anyOf'")
        if word == "oneOf" and not apart(parts):
            raise self.error(
                "'oneOf' is kept for schemas of different types, or objects with a required "
                "property of different values: write 'anyOf'"
            )
        return self._any(part.regex() for part in parts)

    def _any(self, parts: Iterable[str]) -> str:
        """Return the expression of one of several, of which there may be very many."""
        found, length = list[str](), 0
        for part in parts:
            found.append(part)
            length += len(part)
            if length > _LONGEST:
                break
        return self.checked(_either(found))

    def _values(self, values: Sequence[Any]) -> str:
        kept = values
        if "type" in self.schema:
            types = self._types()
            kept = [each for each in values if any(is_of(each, kind) for kind in types)]
        if not kept:
            raise self.error(f"no value of {values!r:.80} has the type {self.schema['type']!r}")
        return f"(?:{any_of([self.written(each) for each in kept])})"

    def written(self, value: Any) -> str:
        """Return the JSON of a value."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError) as error:
            raise self.error(f"{value!r:.80} is no JSON: {error}") from error
        return text

    def referred(self) -> _Place:
        """Return the schema that $ref names."""
        name = self.schema["$ref"]
        if not isinstance(name, str) or not name.startswith("#/"):
            raise self.error(f"$ref {name!r}: only places of the same schema, such as '#/$defs/a'")
        if name in self.within:
            raise self.error(
                f"$ref {name!r} is within itself: texts of any depth have no automaton"
            )
        if len(self.within) >= _REFERENCES:
            raise self.error(f"more than {_REFERENCES} references lead here: write it flatter")
        found = self.root
        for part in unquote(name[2:]).split("/"):
            part = part.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901  # JSON pointer
            if not isinstance(found, Mapping) or part not in found:
                raise self.error(f"$ref {name!r}: there is no {part!r}")
            found = found[part]
        return _Place(found, self.root, f"{self.path}→{name}", (*self.within, name))

    def bounds(self, least: str, most: str) -> tuple[int, int | None]:
        """Return two counts that a schema gives, 0 and None where it gives none."""
        low, high = self.schema.get(least, 0), self.schema.get(most)
        for word, count in ((least, low), (most, 0 if high is None else high)):
            if not is_integer(count, 0):
                raise self.error(f"{word}={count!r}: pass a number of 0 or more")
        if high is not None and high < low:
            raise self.error(f"{least}={low} is more than {most}={high}")
        return int(low), None if high is None else int(high)


def _object(place: _Place) -> str:
    given, further = place.schema, place.schema.get("additionalProperties", True)
    properties, required = given.get("properties", {}), given.get("required", [])
    if not isinstance(properties, Mapping):
        raise place.error(f"properties={properties!r:.80}: pass a dict of schemas")
    if not isinstance(required, Sequence) or isinstance(required, str):
        raise place.error(f"required={required!r}: pass a list of names")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise place.error(f"{name!r} is required, and properties have no schema of it")
    if not isinstance(further, bool | Mapping):
        raise place.error(f"additionalProperties={further!r:.80}: pass True, False or a schema")
    least, most = place.bounds("minProperties", "maxProperties")
    if not properties and isinstance(further, Mapping):
        if least > 1:
            raise place.error("minProperties above 1: keys that are equal count once")
        value = place.below(further, ".additionalProperties").regex()
        return rf"\{{{_several(f'{_STRING} ?: ?{value}', least, most)} ?\}}"
    if least > len(required) or (most is not None and most < len(properties)):
        raise place.error("minProperties and maxProperties are kept without properties alone")
    if not properties and further is True and "properties" not in given:
        raise place.error("any object: name properties, or a schema as additionalProperties")
    tail, head, required = "", "", frozenset(required)
    for name, schema in reversed([*properties.items()]):
        if not isinstance(name, str):
            raise place.error(f"the name {name!r} of a property: pass a text")
        key = re.escape(place.written(name))
        pair = f" ?{key} ?: ?{place.below(schema, f'.properties.{name}').regex()}"
        if name in required:
            head, tail = pair + tail, f" ?,{pair}{tail}"
        else:
            head = f"(?:{pair}{tail}|{head})" if head else f"(?:{pair}{tail})?"
            tail = f"(?: ?,{pair})?{tail}"
        if len(head) + len(tail) > _LONGEST:
            place.checked(head + tail)
    return rf"\{{{head} ?\}}"


def _array(place: _Place) -> str:
    given = place.schema
    least, most = place.bounds("minItems", "maxItems")
    if given.get("uniqueItems", False) is not False and most not in (0, 1):
        raise place.error("uniqueItems is not kept: leave it out")
    first = given.get("prefixItems", [])
    if not isinstance(first, Sequence) or isinstance(first, str):
        raise place.error(f"prefixItems={first!r:.80}: pass a list of schemas")
    if first:
        rest = given.get("items", False)
        fixed = rest is False or most == len(first)
        if not fixed or least > len(first) or (most is not None and most < len(first)):
            raise place.error("prefixItems is kept with items=False, and as many items as it has")
        parts = [place.below(s, f".prefixItems[{i}]").regex() for i, s in enumerate(first)]
        return rf"\[ ?{' ?, ?'.join(parts)} ?\]"
    if most == 0:
        return r"\[ ?\]"
    if "items" not in given:
        raise place.error("no items: values of any depth have no automaton, so give their schema")
    return rf"\[{_several(place.below(given['items'], '.items').regex(), least, most)} ?\]"


def _several(one: str, least: int, most: int | None) -> str:
    """So many of an expression, with commas between; nothing of none."""
    if most == 0:
        return ""
    upper = "" if most is None else most - 1
    some = f" ?{one}(?: ?, ?{one}){{{max(least - 1, 0)},{upper}}}"
    return some if least else f"(?:{some})?"


def _string(place: _Place) -> str:
    given = place.schema
    pattern, format_ = given.get("pattern"), given.get("format")
    least, most = place.bounds("minLength", "maxLength")
    bounded = least > 0 or most is not None
    if sum((pattern is not None, format_ is not None, bounded)) > 1:
        raise place.error("of pattern, format and the bounds of the length one is kept")
    if format_ is not None:
        if not isinstance(format_, str) or format_ not in FORMATS:
            raise place.error(f"format {format_!r}: {nearest(str(format_), FORMATS)}")
        return f'"{FORMATS[format_]}"'
    if pattern is None:
        return f'"{_CHARACTER}{{{least},{"" if most is None else most}}}"' if bounded else _STRING
    text = check_regex(f"json_schema at {place.path}.pattern", pattern)
    if re.compile(pattern).groupindex:
        raise place.error(f"pattern {pattern!r} names a group: write (?:...)")
    if not byte_automaton(text, f"json_schema at {place.path}.pattern").within(
        byte_automaton(f"{_PLAIN}*")
    ):
        raise place.error(
            f"pattern {pattern!r} allows characters that JSON writes in another way: leave out "
            r'\, " and control characters, as in [^"\\\x00-\x1f]'
        )
    return f'"(?:{text})"'


def _integer(place: _Place) -> str:
    bounds: dict[str, int | None] = {}
    for word in _KEYWORDS["integer"]:
        value = place.schema.get(word)
        if value is not None and not is_of(value, "integer"):
            raise place.error(f"{word}={value!r}: pass an integer")
        if value is not None and abs(value) >= 10**_DIGITS:
            raise place.error(f"{word} has more than {_DIGITS} digits: leave it out")
        bounds[word] = None if value is None else int(value)
    low, high = bounds["minimum"], bounds["maximum"]
    above, below = bounds["exclusiveMinimum"], bounds["exclusiveMaximum"]
    lows = [x for x in (low, None if above is None else above + 1) if x is not None]
    highs = [x for x in (high, None if below is None else below - 1) if x is not None]
    least, most = max(lows, default=None), min(highs, default=None)
    if least is not None and most is not None and least > most:
        raise place.error(f"no integer from {least} to {most}")
    return integers_between(least, most)


_OF_TYPE: dict[str, Callable[[_Place], str]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": lambda place: _NUMBER,
    "boolean": lambda place: "(?:true|false)",
    "null": lambda place: "null",
}


def _either(parts: Sequence[str]) -> str:
    return f"(?:{'|'.join(parts)})"
