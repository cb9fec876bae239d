"""Regular expressions as automata: the texts are those of Python's re, over bytes and over ids."""

import random
import re
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
        ("^a$", r"has no automaton: .* leave out \^ and \$, for all of the text must match"),
        (r"\ba", r"has no automaton: .*word boundaries"),
        ("(?=a)b", "has no automaton: .*Look-around"),
        (r"(a)\1", "has no automaton: .*backreferences"),
        ("a$b", "has no automaton: parts of it never match"),
    ],
)
def test_what_is_no_regular_expression(pattern, told):
    with pytest.raises(InputError, match=told):
        byte_automaton(check_regex("regex", pattern))
