"""Calls of a text model that cannot be: told before any work, and never by a raw traceback."""

import pytest

import unmask
from unmask.errors import ArgumentError, CanvasError, InputError, ModelError, StrategyError
from unmask.text import model

EDITED = {"n", "seed", "strategy", "regex", "json_schema", "choices", "likeliest"}
COMPLETED = EDITED | {"stop", "max_rows", "max_tokens"}
TALK = [{"role": "user", "content": "the cat"}]
GROWN = unmask.presets.daedal(initial=2)


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda m: m.edit("the cat", 3), InputError, "span=3: pass a part of the text"),
        (lambda m: m.edit("the cat", (0, 1, 2)), InputError, r"span=\(0, 1, 2\): pass a part"),
        (lambda m: m.edit("the cat", ("a", "b")), InputError, "or a pair such as"),
        (lambda m: m.edit("the cat", (3, 9)), InputError, "of a text of 7 characters"),
        (lambda m: m.edit("the cat", "cat", tokens=2), ArgumentError, "takes no tokens="),
        (lambda m: m.chat(TALK, 4, sed=1), ArgumentError, "chat.. takes no sed=: did you mean"),
        (lambda m: m.complete_each(["a"], 4, sed=1), ArgumentError, "takes no sed="),
        (lambda m: m.complete("the", 4, stop=""), InputError, "stop has an empty text"),
        (lambda m: m.complete("the", 4, stop=["a", ""]), InputError, "stop has an empty text"),
        (lambda m: m.stream("the", 4, stop=""), InputError, "stop has an empty text"),
        (
            lambda m: m.fill("a [MASK] [MASK:x]"),
            CanvasError,
            r"\[MASK:x\] names no number of positions",
        ),
        (lambda m: m.fill("a [MASK:]"), CanvasError, r"\[MASK:\] names no number"),
        (
            lambda m: m.fill("a [MASK:99999999999]"),
            CanvasError,
            r"has \d{11,} tokens, and the network 512",
        ),
        (
            lambda m: m.fill("a [MASK]", candidates="1-90000"),
            CanvasError,
            "and the network 512 positions",
        ),
        (
            lambda m: m.infill("a", "b", max_tokens=10**9),
            CanvasError,
            "1000000000 to generate, and the network has 512 positions: generate at most 510",
        ),
        (lambda m: m.fill("a [MASK]", strategy=GROWN), StrategyError, "number of tokens is given"),
        (
            lambda m: m.infill("a", "b", tokens=2, strategy=GROWN),
            StrategyError,
            "number of tokens is given",
        ),
        (lambda m: unmask.TextModel(m.denoiser, "x"), ModelError, "encoding='x': pass a Tok"),
        (
            lambda m: unmask.TextModel(m.denoiser, m.encoding, strategy="dream"),
            StrategyError,
            "strategy='dream': pass a preset",
        ),
        (
            lambda m: unmask.TextModel(m.denoiser, m.encoding, end_ids=[9999]),
            ModelError,
            "end_ids has 9999: pass ids from 0 to",
        ),
    ],
)
def test_bad_calls(byte_model, call, kind, told):
    with pytest.raises(kind, match=told):
        call(byte_model)


def test_a_part_without_a_token(bert_model):
    with pytest.raises(InputError, match=r"span=\(3, 4\) has no token"):
        bert_model.edit("the cat", (3, 4))


def test_an_encoding_of_another_model(byte_model, bert_model):
    for one, other in ((bert_model, byte_model), (byte_model, bert_model)):  # too large, too small
        with pytest.raises(ModelError, match="it is of another model"):
            unmask.TextModel(one.denoiser, other.encoding)


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda m, **options: m.chat(TALK, 4, **options), COMPLETED),
        (lambda m, **options: m.complete_each(["a"], 4, **options), COMPLETED - {"n"}),
        (lambda m, **options: m.edit("the cat", "cat", **options), EDITED),
    ],
    ids=["chat", "complete_each", "edit"],
)
def test_options_are_those_of_the_method_that_they_go_to(byte_model, call, known, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "check_options", lambda name, options, known: asked.append({*known}))
    call(byte_model, seed=1)
    assert asked == [known]


def test_no_texts_have_no_fillings(bert_model):
    assert bert_model.fill([]) == []
    assert bert_model.complete([], 4) == []
