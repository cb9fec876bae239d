"""Forms that would take minutes or all memory: refused by a count of their work, not by a clock."""

import json
import re

import pytest

from unmask.core.recent import Recent
from unmask.errors import InputError
from unmask.text import tokens
from unmask.text.missing import missing_characters, needs, written
from unmask.text.patterns import byte_automaton, check_regex
from unmask.text.spelling import Spelling
from unmask.text.structured import Structure

CHINESE = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
REGEXES = {
    "nothing, a thousand million times": ("(){1000000000}", None),
    "nothing, at most as often": ("(){0,1000000000}", None),
    "more repetitions than a number has": ("a{99999999999}", "no regular expression"),
    "a number of repetitions of many digits": ("a{" + "9" * 5000 + "}", "no regular expression"),
    "each may be left out": ("(a?){20000}", "takes too long"),
    "states of many sets": ("(a|b)*a(a|b){30}", "too large"),
    "repetitions of repetitions": ("((a{9999}){9999}){9999}", "too large"),
    "characters of many bytes": (r"\w{5000}", "over bytes it has more than"),
    "words, very often": (r"\w{200000}", "too large"),
    "very many characters": (CHINESE, "more than 4096 sets"),
    "and without regard to case": ("(?i)" + CHINESE, "more than 4096 sets"),
    "within one another": ("(" * 5000 + "a" + ")" * 5000, "nested too deeply"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", REGEXES)
def test_expressions_are_compiled_or_refused_soon(name):
    pattern, told = REGEXES[name]
    if told is None:
        assert Structure.of(regex=pattern) is not None
        return
    with pytest.raises(InputError, match=told):
        Structure.of(regex=pattern)


def doubled(depth):
    """A schema whose definitions each name the next one twice."""
    defs = {
        str(i): {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/{i + 1}"}, "b": {"$ref": f"#/$defs/{i + 1}"}},
        }
        for i in range(depth)
    }
    return {"$ref": "#/$defs/0", "$defs": {**defs, str(depth): {"type": "null"}}}


def chained(length):
    defs = {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(length)}
    defs[str(length)] = {"type": "null"}
    return {"oneOf": [{"$ref": "#/$defs/0"}, {"type": "string"}], "$defs": defs}


def properties(count, required):
    names = [f"n{i}" for i in range(count)]
    about = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return {**about, "required": names} if required else about


SCHEMAS = {
    "references that double": (doubled(40), "250,000 characters"),
    "references in a chain": (chained(1000), "more than 64 references"),
    "many properties that may be left out": (properties(5000, False), "250,000 characters"),
    "many properties": (properties(20000, True), "250,000 characters"),
    "many values": ({"enum": [f"value {i}" for i in range(200000)]}, "250,000 characters"),
    "many schemas, each against each": (
        {"oneOf": [{"type": "string"}] * 100000},
        "'oneOf' of 100,000 schemas",
    ),
    "two schemas of many values": (
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"a": {"enum": [*range(i, 20000, 2)]}},
                    "required": ["a"],
                }
                for i in range(2)
            ]
        },
        "write 'anyOf'",
    ),
    "any of many": ({"anyOf": [{"type": "string"}] * 100000}, "250,000 characters"),
    "a type very often": ({"type": ["null"] * 100000}, None),
    "items without end": ({"type": "array", "items": {"type": "null"}, "minItems": 10**12}, "no"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_compiled_or_refused_soon(name):
    schema, told = SCHEMAS[name]
    if told is None:
        assert Structure.of(json_schema=schema).pattern == "(?:null)"
        return
    with pytest.raises(InputError, match=told):
        Structure.of(json_schema=json.loads(json.dumps(schema)))


@pytest.mark.timeout(60)
def test_automata_over_tokens_are_bounded(monkeypatch):
    """Tokens of which each leads from each state to another one."""
    words = tuple(bytes([97 + i % 7, 97 + i // 7]) for i in range(49))
    automaton = byte_automaton("[a-g]{0,60}(ab|cd){20}")
    arguments = (automaton, Spelling(words, words), len(words), (), None)
    assert tokens.token_automaton(*arguments, follows=True) is not None
    for name in ("_ENTRIES", "_WORK", "_MOVES"):
        with monkeypatch.context() as patched:
            patched.setattr(tokens, name, 10)
            with pytest.raises(tokens.NoAutomaton, match="too large"):
                tokens.token_automaton(*arguments, follows=True)


def test_what_is_kept_is_bounded_by_its_bytes():
    calls = []

    def make(size):
        calls.append(size)
        return bytes(size)

    kept = Recent(make, 10, len)
    for size in (4, 5, 4, 3, 4, 5, 11, 11):
        assert len(kept(size)) == size
        assert kept.held <= 10
    # 3 takes the place of 5, which was used longest ago, and 5 that of 3; 11 is never kept.
    assert calls == [4, 5, 3, 5, 11, 11]


def test_case_is_read_as_python_reads_it():
    # Among them are the Kelvin sign, the long s and the dotless i.
    texts = [*"kK\u212a\u017fsSßẞσςΣiİ\u0131\u00b5\u03bc1"]
    for pattern in (
        "(?i)k", "(?i)[^s]", "(?i)[a-t]", "(?i)ß", "(?i)[^σ1]", "(?ai)[k-s]", r"(?i)\w", "(?i)İ"
    ):  # fmt: skip
        found, compiled = byte_automaton(check_regex("regex", pattern)), re.compile(pattern)
        for text in texts:
            assert found.accepts(text) == (compiled.fullmatch(text) is not None), (pattern, text)


def naive_missing(texts, parts):
    """The characters that no part has, of the text that lacks the fewest."""
    lacking = [[c for c in text if not any(c in part for part in parts)] for text in texts]
    return [repr(c) for c in dict.fromkeys(min(lacking, key=len))]


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["ab"], ["a"]),
        (["ab", "axxx", "bbb"], ["a"]),
        (['{"a": 1}'], ["a", "1", ": "]),
        (["abc", "xyz"], ["ab", "c"]),
        (["ü1ü", "ö"], ["1"]),
        (["aaaa", "bc"], ["c"]),
        (["xy", "aaaab"], ["a"]),
    ],
)
def test_characters_that_are_missing_are_those_of_the_text_that_lacks_the_fewest(texts, parts):
    pattern = "|".join(map(re.escape, texts))
    found = missing_characters(pattern, [part.encode() for part in parts])
    assert found == naive_missing(texts, parts)


def test_characters_may_be_made_up_of_bytes():
    has = written([b"a\xc3", b"\xbc", b"x"])
    assert has[ord("x")]
    assert has[ord("ü")]
    assert not has[ord("ö")]
    assert missing_characters("ü|ö", [b"\xc3", b"\xbc"]) == []
    assert "one of '0', '1', '2', ..." in needs("[0-9]{3}", [b"a"])
