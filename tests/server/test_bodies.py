"""Bodies that no JSON parser should be handed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.server.bodies import DEPTH, check_body, depth_of
from unmask.server.problems import Problem

VALUES = st.recursive(
    st.none() | st.integers() | st.text('a"\\[]{}/😀é'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\[{'), inner),
    max_leaves=12,
)


def naive(value):
    """Arrays and objects within one another, by looking at the parsed value."""
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(naive, inner), default=0) if isinstance(value, list | dict) else 0


@given(VALUES, st.booleans())
def test_the_depth_is_that_of_the_value(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert depth_of(body) == naive(value)
    check_body(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * (DEPTH + 1), "too_deep"),
        (b'{"a":' * (DEPTH + 1), "too_deep"),
        (b'{"prompt": "\xff"}', "invalid_utf8"),
        (b'{"prompt": "\xed\xa0\xbd"}', "invalid_utf8"),
        (b'{"prompt": "\\ud83d"}', "invalid_unicode"),
        (b'{"prompt": "\\ude00\\ud83d"}', "invalid_unicode"),
        (b'{"prompt": "\\\\\\ud83dx"}', "invalid_unicode"),
    ],
)
def test_what_is_refused(body, code):
    with pytest.raises(Problem) as caught:
        check_body(body)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEPTH,
        b'"' + b"[" * 1000 + b'"',
        b"[]" * 1000,
        b"]" * 100,
        b"",
        '{"prompt": "😀 \\ud83d\\ude00 \\\\ud83d"}'.encode(),
    ],
)
def test_what_is_left_to_the_parser(body):
    check_body(body)
