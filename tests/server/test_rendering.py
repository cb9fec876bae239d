"""JSON in parts: it is that of one call, and no call has much to do."""

import json
import random

import pytest

from unmask.server import rendering
from unmask.server.rendering import SLICE, rendered


def anything(draw, depth=6):
    kind = draw.randrange(8 if depth else 5)
    if kind == 5:
        return {draw.choice('aü"\n ') * i: anything(draw, depth - 1) for i in range(4)}
    if kind == 6:
        return [anything(draw, depth - 1) for _ in range(draw.randrange(5))]
    if kind == 7:
        return [draw.randrange(100)] * draw.choice([0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
    return [None, True, draw.random() * 1e9, draw.randrange(-9, 9), '"ü\u2028\\\n'][kind]


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_make_the_whole(seed):
    value = anything(random.Random(seed))
    given = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    assert rendered(value) == json.dumps(value, **given)


def test_numbers_that_json_cannot_write_are_refused():
    for value in (float("nan"), [float("inf")], {"a": [1.0] * 600 + [float("-inf")]}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            rendered(value)


def test_no_call_has_much_to_do(monkeypatch):
    encode, longest = rendering._compact.encode, 0

    def watched(value):
        nonlocal longest
        text = encode(value)
        longest = max(longest, len(text))
        return text

    monkeypatch.setattr(rendering._compact, "encode", watched)
    entry = {"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -1.5}] * 20}
    choice = {"message": {"content": "a"}, "logprobs": {"content": [entry] * 5000}}
    answer = {"id": "a", "choices": [choice] * 4, "usage": {"tokens": 1}}
    assert rendered({"type": "end", "response": answer}) == encode(
        {"type": "end", "response": answer}
    )
    assert longest < 400_000 < len(encode(answer)) / 20
