"""JSON schemas as regular expressions: what matches is valid, what is valid matches."""

import json
import random

import pytest
from tests.reference.schemas import is_valid, random_schema

from unmask.errors import InputError
from unmask.text.patterns import byte_automaton
from unmask.text.schema import schema_regex


def texts_of(automaton, rng, count=12, longest=400):
    """Random texts of an automaton, byte by byte; those that find an end."""
    found = []
    for _ in range(count):
        state, text = automaton.start, bytearray()
        while len(text) < longest:
            if automaton.accept[state] and rng.random() < 0.5:
                break
            moves = [byte for byte in range(256) if automaton.table[state, byte] >= 0]
            if not moves:
                break
            byte = rng.choice(moves)
            text.append(byte)
            state = automaton.table[state, byte]
        if automaton.accept[state]:
            found.append(text.decode())
    return found


@pytest.mark.parametrize("seed", range(30))
def test_texts_of_random_schemas_are_valid(seed):
    rng = random.Random(seed)
    schema = random_schema(rng)
    texts = texts_of(byte_automaton(schema_regex(schema)), rng)
    for text in texts:
        assert is_valid(json.loads(text), schema), text


def labelled(*kinds):
    """An object that is told by its kind, as pydantic writes those of a discriminated union."""
    kind = {"const": kinds[0], "type": "string"} if len(kinds) == 1 else {"enum": [*kinds]}
    properties = {"kind": kind, "n": {"type": "integer"}}
    return {"type": "object", "properties": properties, "required": ["kind"]}


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "mail": {"type": ["string", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "at": {"$ref": "#/$defs/place"},
    },
    "required": ["name", "at"],
    "$defs": {"place": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]}},
}


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (
            PERSON,
            [
                '{"name":"","at":[1,2]}',
                '{"name": "é\\n\\"", "age": 3, "tags": ["a", ""], "at": [0.5, 1e-9] }',
                '{"name": "\\u0001", "mail": null, "at": [ 0, -1 ]}',
            ],
            [
                '{"name": ""}',
                '{"at": [1, 2], "name": ""}',
                '{"name": "", "age": -1, "at": [1, 2]}',
                '{"name": "a\n", "at": [1, 2]}',
            ],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 2},
            ["{}", '{"a": null}', '{ "a" : null , "b":null}'],
            ['{"a": 1}', '{"a": null, "b": null, "c": null}'],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}},
            ["{}", '{"a":null}', '{"b":null}', '{"a":null,"b":null}'],
            ['{"b":null,"a":null}', "{,}", '{"a":null,}'],
        ),
        (
            {"type": "string", "format": "date"},
            ['"2024-02-29"', '"2000-02-29"', '"2023-04-30"'],
            ['"2023-02-29"', '"1900-02-29"', '"2023-04-31"', '"2023-13-01"'],
        ),
        (
            {"type": "string", "format": "date-time"},
            ['"2024-02-29T23:59:59Z"', '"2024-01-01T00:00:00.5+01:30"'],
            ['"2024-02-29"', '"2024-01-01T24:00:00Z"', '"2024-01-01T00:00:00"'],
        ),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, ["3", "null"], ["true"]),
        ({"allOf": [{"const": {"a": [1, "é"]}}]}, ['{"a": [1, "é"]}'], ['{"a":[1,"é"]}']),
        ({"type": "integer", "enum": [1, "a", 2.0]}, ["1", "2.0"], ['"a"']),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3},
            ["[null,null]", "[ null , null,null ]"],
            ["[null]", "[null,null,null,null]"],
        ),
        ({"type": "array", "maxItems": 0}, ["[]", "[ ]"], ["[null]"]),
        (
            {"type": "number"},
            ["0", "-1.5", "1e9", "1E+9", "2.5e-3"],
            ["01", ".5", "1.", "+1", "NaN"],
        ),
        ('{"type": "boolean"}', ["true", "false"], ["True"]),
        ({"$defs": {"a b": {"type": "null"}}, "$ref": "#/$defs/a%20b"}, ["null"], ["1"]),
        (
            {
                "$defs": {"cat": labelled("cat"), "dog": labelled("dog", "wolf")},
                "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}, {"type": "null"}],
                "discriminator": {"propertyName": "kind"},
            },
            ['{"kind":"cat"}', '{"kind":"wolf","n":1}', "null"],
            ['{"kind":"cow"}', "{}"],
        ),
        ({"type": "string", "pattern": "(?i)^ab$"}, ['"ab"', '"AB"'], ['"abc"', "ab"]),
    ],
)
def test_texts_of_a_schema(schema, valid, invalid):
    found = byte_automaton(schema_regex(schema))
    assert [text for text in valid if not found.accepts(text)] == []
    assert [text for text in invalid if found.accepts(text)] == []


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("{", "json_schema is no JSON: "),
        ([1], r"at \$: \[1\] is no schema"),
        ({}, r"at \$: no type"),
        ({"type": "strin"}, r"at \$: type 'strin': .*'string'"),
        ({"type": "object"}, "any object: name properties"),
        ({"type": "array"}, "no items"),
        ({"type": "string", "minLenght": 1}, r"'minLenght' is not kept for string: .*'minLength'"),
        ({"type": "number", "multipleOf": 2}, "'multipleOf' is not kept for number"),
        (
            {"type": "object", "properties": {"a": {"type": "foo"}}},
            r"at \$\.properties\.a: type 'foo'",
        ),
        (
            {"type": "object", "properties": {}, "required": ["a"]},
            "'a' is required, and properties",
        ),
        ({"type": "array", "items": {"not": {}}}, r"at \$\.items: no type"),
        (
            {"type": "array", "items": {"type": "null"}, "uniqueItems": True},
            "uniqueItems is not kept",
        ),
        ({"type": "string", "maxLength": -1}, "maxLength=-1: pass a number of 0 or more"),
        (
            {"type": "string", "minLength": 3, "maxLength": 1},
            "minLength=3 is more than maxLength=1",
        ),
        ({"type": "string", "pattern": "("}, r"at \$\.pattern='\(' is no regular expression"),
        (
            {"type": "string", "pattern": "a.b"},
            r"pattern 'a\.b' allows characters that JSON writes",
        ),
        ({"type": "string", "pattern": "a", "maxLength": 2}, "one is kept"),
        ({"type": "string", "format": "hostname"}, "format 'hostname': known: date, date-time"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no integer from 3 to 2"),
        ({"type": "integer", "minimum": 0.5}, "minimum=0.5: pass an integer"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "'oneOf' is kept for"),
        ({"oneOf": [labelled("a", "b"), labelled("b")]}, "'oneOf' is kept for"),
        ({"oneOf": [labelled("a"), {"type": ["object", "null"]}]}, "'oneOf' is kept for"),
        ({"type": [["a"]]}, r"type \['a'\]"),
        ({"type": "integer", "minimum": "3"}, "minimum='3': pass an integer"),
        ({"type": "integer", "minimum": [1]}, r"minimum=\[1\]: pass an integer"),
        ({"type": "integer", "minimum": True}, "minimum=True: pass an integer"),
        ({"type": "string", "format": ["date"]}, r"format \['date'\]"),
        ({"type": "object", "properties": {}, "required": [["a"]]}, r"\['a'\] is required"),
        ({"type": "object", "properties": {3: {"type": "null"}}}, "the name 3 of a property"),
        (
            {"type": "object", "properties": {}, "additionalProperties": "no"},
            "additionalProperties='no': pass True, False or a schema",
        ),
        ({"type": "integer", "maximum": 1e300}, "maximum has more than 64 digits"),
        ({"const": {1}}, r"\{1\} is no JSON"),
        ({"enum": ["\ud800"]}, "is no JSON: .*surrogates"),
        ({"type": "string", "pattern": "(?P<x>a)"}, "names a group"),
        ({"type": "string", "pattern": "^a$|^b$"}, "an anchor or word boundary within it"),
        ({"allOf": [{"type": "null"}, {"type": "null"}]}, "'allOf' of several schemas"),
        ({"anyOf": []}, r"anyOf=\[\]: pass a list that is not empty"),
        ({"type": "string", "enum": [1]}, r"no value of \[1\] has the type 'string'"),
        ({"anyOf": [{"type": "null"}], "minimum": 3}, "'anyOf' beside 'minimum' is not kept"),
        ({"$ref": "#/$defs/a"}, r"there is no '\$defs'"),
        ({"$ref": "http://x"}, "only places of the same schema"),
        (
            {
                "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
                "$ref": "#/$defs/a",
            },
            r"at \$→#/\$defs/a\.items: \$ref '#/\$defs/a' is within itself",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 2},
            "keys that are equal",
        ),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_place(schema, told):
    with pytest.raises(InputError, match=told):
        schema_regex(schema)


def test_choices_that_begin_as_a_string_does():
    schema = {"anyOf": [{"type": "string", "maxLength": 3}, {"enum": ["abcde", "ab\\n"]}]}
    joined = byte_automaton(schema_regex(schema))
    texts = ['"abc"', '"abcde"', '"ab\\\\n"', '"ab\\n"', '"\\u0001"', '""', '"abcd"', '"abcdef"']
    assert [joined.accepts(text) for text in texts] == [True] * 6 + [False] * 2


def test_long_strings_are_ready_at_once():
    schema = {"type": "string", "minLength": 150, "maxLength": 200}
    found = byte_automaton(schema_regex(schema))
    assert [found.accepts(f'"{"é" * count}"') for count in (149, 150, 200, 201)] == [
        False,
        True,
        True,
        False,
    ]
