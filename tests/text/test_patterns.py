"""Regular expressions as automata: the texts are those of Python's re, over bytes and over ids."""

import random
import re
import warnings
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.schemas import random_regex

from unmask.errors import InputError
from unmask.text.numbers import integers_between
from unmask.text.patterns import any_of, byte_automaton, check_regex
from unmask.text.spelling import Spelling
from unmask.text.tokens import token_automaton

TEXTS = ["".join(word) for n in range(5) for word in product("abé7", repeat=n)]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9))
def test_the_texts_of_a_regular_expression(seed):
    """Alternatives that begin alike included, of which an automaton may prefer the first."""
    pattern = random_regex(random.Random(seed))
    found = byte_automaton(pattern)
    matches = [re.fullmatch(pattern, text) is not None for text in TEXTS]
    assert [found.accepts(text) for text in TEXTS] == matches


KINDS = [
    r"\w", r"\W", r"\d", r"\s", r"\S", ".", "(?s).", r"(?a)\w", r"(?i)[i-k\dß]", "(?i)[^k]",
    "(?i)s", "[^a-zß]", r"[^\W\d_]", r"[]\d-]", "(?i:k)", "(?-i:k)", "[[:digit:]", "[a&&b]",
    "[a||b]", r"\N{BULLET}", r"[\b]", "\\\n", "(?x) a # ) \n",
]  # fmt: skip
CHARACTERS = [*range(0x3400), *range(0x3400, 0xD800, 41), *range(0xE000, 0x110000, 41)]


@pytest.mark.parametrize("pattern", KINDS)
def test_the_characters_of_a_set_are_those_of_re(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about sets within sets
        found, compiled = byte_automaton(check_regex("regex", pattern)), re.compile(pattern)
    wrong = [
        number
        for number in CHARACTERS
        if found.accepts(chr(number)) != (compiled.fullmatch(chr(number)) is not None)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("^a$|b", None),
        ("^a|b$", ["a", "b"]),
        (r"\Aab\Z", ["ab"]),
        (r"a\$", ["a$"]),
        (r"a\\$", ["a\\"]),
        ("(?i)^ab$", ["ab", "AB"]),
        ("a{,2}", ["", "a", "aa"]),
        ("{a{", ["{a{"]),
        ("(?#c)a(?P<n>b)", ["ab"]),
        (re.escape("<a b>#\n"), ["<a b>#\n"]),
        ("(a*){0,3}b??", ["", "aaaa", "ab"]),
        ("a++b", None),
    ],
)
def test_what_python_reads_is_read_alike(pattern, texts):
    if texts is None:
        with pytest.raises(InputError, match=r"has no automaton|is no regular expression"):
            byte_automaton(check_regex("regex", pattern))
        return
    found = byte_automaton(check_regex("regex", pattern))
    for text in [*texts, *TEXTS]:
        assert found.accepts(text) == (re.fullmatch(pattern, text) is not None), text
    assert all(map(found.accepts, texts))


def test_long_repetitions_are_ready_at_once():
    """By the number of states, which outgrow those of the expression by those of a character."""
    found = byte_automaton(r"\w{1,50}")
    assert found.accepts("ü日🙂"[:2] * 25)
    assert not found.accepts("a" * 51)
    assert len(byte_automaton(".{0,200}").table) <= 201 * 8


def test_the_longer_of_two_texts_that_begin_alike():
    found = byte_automaton("a|ab|abc")
    assert [found.accepts(text) for text in ("a", "ab", "abc", "", "b", "abcd")] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize("text", ["a.b*", "[x]", "a\\b", "#-&~", "tab\t\n", "é|ü", "{2}", "^$"])
def test_choices_are_taken_as_they_are(text):
    found = byte_automaton(any_of([text, "other"]))
    assert found.accepts(text)
    assert found.accepts("other")
    assert not found.accepts(text + "x")


@settings(max_examples=60, deadline=None)
@given(st.none() | st.integers(-1200, 1200), st.none() | st.integers(-1200, 1200))
def test_integers_between_two_bounds(one, other):
    bounds = sorted(x for x in (one, other) if x is not None)
    least, most = (one, other) if len(bounds) < 2 else bounds
    pattern = re.compile(integers_between(least, most))
    for number in [*range(-1300, 1300), 10**6, -(10**6)]:
        inside = (least is None or number >= least) and (most is None or number <= most)
        assert (pattern.fullmatch(str(number)) is not None) == inside
    assert not pattern.fullmatch("007")


def spelled(vocabulary, first=None):
    return Spelling(tuple(vocabulary), tuple(first or vocabulary))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 10**9), st.booleans())
def test_ids_are_accepted_iff_their_text_matches(data, seed, ends):
    """Every sequence of up to four ids, written out: valid ones within reach, others not."""
    rng = random.Random(seed)
    pattern = random_regex(rng, depth=2)
    pieces = [
        b"a",
        b"b",
        "é".encode(),
        b"ab",
        b"7",
        "é".encode()[:1],
        "é".encode()[1:],
        b"ba",
        None,
    ]
    vocabulary = rng.sample(pieces, 5)
    end = (5, 6) if ends else ()
    found = token_automaton(
        byte_automaton(pattern), spelled(vocabulary), 8, end, 5 if ends else None, follows=True
    )
    for length in range(1, 5):
        for word in product(range(8), repeat=length):
            expected = matches(word, vocabulary, pattern, end)
            assert (found is not None and accepted(found, word)) == expected, word


def matches(word, vocabulary, pattern, ends):
    """Naively: the text up to an end matches, and what is behind the end is the first end."""
    count = next((i for i, token in enumerate(word) if token in ends), len(word))
    if any(token != ends[0] for token in word[count + 1 :]):
        return False
    parts = [vocabulary[token] if token < len(vocabulary) else None for token in word[:count]]
    if None in parts:
        return False
    try:
        return re.fullmatch(pattern, b"".join(parts).decode()) is not None
    except UnicodeDecodeError:
        return False


def accepted(automaton, word):
    state = automaton.start
    for token in word:
        column = int(automaton.classes[token])
        state = -1 if column < 0 else int(automaton.transitions[state, column])
        if state < 0:
            return False
    return state in automaton.accept


def test_a_space_that_only_the_beginning_drops():
    inside = [b" a", b"a", b" b"]
    spelling = spelled(inside, [b"a", b"a", b"b"])
    made = {
        follows: token_automaton(byte_automaton("a b"), spelling, 3, (), None, follows=follows)
        for follows in (False, True)
    }
    words = {
        flag: {w for w in product(range(3), repeat=2) if accepted(a, w)} for flag, a in made.items()
    }
    assert words == {False: {(0, 2), (1, 2)}, True: {(1, 2)}}


def test_what_ids_cannot_write_has_no_automaton():
    assert token_automaton(byte_automaton("ab"), spelled([b"a"]), 1, (), None, follows=True) is None


def test_what_is_within_another():
    digits, any_ = byte_automaton("[0-9]{2}"), byte_automaton("[^x]*")
    assert digits.within(any_)
    assert not any_.within(digits)
    assert not byte_automaton("ax?").within(any_)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (3, "regex is a int: pass a text"),
        ("a(b", r"regex='a\(b' is no regular expression: missing \), .* at character 1"),
        ("a{3,1}", "no regular expression: min repeat greater than max repeat at character 2"),
        (r"\ba", r"has no automaton: an anchor or word boundary"),
        ("(?=a)b", "has no automaton: look-around"),
        (r"(a)\1", "has no automaton: a backreference"),
        ("a$b", "has no automaton: an anchor or word boundary within it has none"),
        ("a$|^b", "has no automaton: an anchor or word boundary within it has none"),
        (r"[^\s\S]", "has no automaton: no text matches it"),
        ("((a{50}){50}){500}", "has no automaton: it is too large"),
        ("(a|b)*a(a|b){20}", "has no automaton: it is too large: .* more than 50000 states"),
        ("\ud800", "regex has half a character"),
    ],
)
def test_what_is_no_regular_expression(pattern, told):
    with pytest.raises(InputError, match=told):
        byte_automaton(check_regex("regex", pattern))
