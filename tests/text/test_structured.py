"""Structured output end to end: every text is of its form, whatever the network says."""

import json
import random
import re
from functools import partial
from itertools import pairwise

import pytest
import torch
from tests.reference.schemas import is_valid, random_regex, random_schema
from tests.text.models import byte_level

import unmask
from unmask import TextModel, presets
from unmask.data import Vocabulary
from unmask.errors import InputError, StrategyError
from unmask.text import ByteEncoding, TokenizerEncoding
from unmask.text.patterns import byte_automaton
from unmask.text.schema import schema_regex

REGEX = "[a-z]{3,9}( the)?|x.y+é"
STRATEGIES = {
    "random order": presets.random_order(steps=6),
    "confidence": presets.confidence(steps=6),
    "in blocks": presets.llada(steps=8, block=8),
    "adaptive": presets.threshold(0.5, block=16),
    "re-masking": presets.remdm(steps=6),
    "verified": presets.wino(0.5, 0.6, block=16),
}


def noisy(vocab_size, mask_id):
    """A network whose logits depend on all that a row shows it, in no sensible way."""

    def drawn(row):
        generator = torch.Generator().manual_seed(int(row.sum()) % 2**31)
        return 4 * torch.randn(len(row), vocab_size, generator=generator)

    def net(tokens):
        return torch.stack([drawn(row) for row in tokens])

    return unmask.wrap(net, mask_id=mask_id, vocab_size=vocab_size)


@pytest.fixture(scope="module")
def models():
    """A model of bytes with an end, and one of pieces of bytes."""
    vocabulary, backend = Vocabulary.of_bytes(end=True), byte_level()
    mask = backend.mask_token_id
    pieces = TokenizerEncoding(backend, mask, surround=False)
    return [
        TextModel(
            noisy(vocabulary.total, vocabulary.mask_id), ByteEncoding(vocabulary), end_ids=(256,)
        ),
        TextModel(noisy(len(backend), mask), pieces, end_ids=(backend.eos_token_id,)),
    ]


@pytest.mark.parametrize("likeliest", [False, True])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_text_is_of_its_form(models, name, likeliest):
    for model in models:
        options = {"strategy": STRATEGIES[name], "likeliest": likeliest}
        for found in model.complete(["", "the cat"] * 3, 24, regex=REGEX, **options):
            assert re.fullmatch(REGEX, found.text)
            assert found.finish_reason == "stop" or len(found.tokens) == 24
        (found,) = model.complete(
            ["größer"], 24, choices=["yes", "no (never)", "später"], **options
        )
        assert found.text in ("yes", "no (never)", "später")


def check_random(models, seed):
    """A random schema or expression, a random length that is enough, and a random strategy."""
    rng = random.Random(seed)
    schema = random_schema(rng) if rng.random() < 0.6 else None
    pattern = random_regex(rng) if schema is None else schema_regex(schema)
    form = {"regex": pattern} if schema is None else {"json_schema": schema}
    model, strategy = rng.choice(models), STRATEGIES[rng.choice([*STRATEGIES])]
    options = {"strategy": strategy, "seed": seed, "likeliest": rng.random() < 0.3, **form}
    try:
        found = model.complete("", 4, n=2, **options)
    except InputError as error:
        needed = int(re.search(r"pass (\d+) or more", str(error))[1])
        with pytest.raises(InputError, match=f"pass {needed} or more"):
            model.complete("", needed - 1, **options)
        found = model.complete("", needed + rng.choice([0, 0, 7, 40]), n=2, **options)
    for each in found:
        assert re.fullmatch(pattern, each.text), (form, each.text)
        if schema is not None:
            assert is_valid(json.loads(each.text), schema), (schema, each.text)


@pytest.mark.parametrize("seed", range(20))
def test_random_schemas_and_expressions(models, seed):
    check_random(models, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 200))
def test_many_random_schemas_and_expressions(models, seed):
    check_random(models, seed)


def test_every_choice_comes_out(models):
    choices = ["a", "ab", "abc", "b"]
    for model in models:
        found = model.complete("", 4, n=150, choices=choices, strategy=presets.random_order(2))
        assert {each.text for each in found} == {*choices}


def test_a_stream_and_a_talk(models):
    model = models[1]
    options = {"strategy": STRATEGIES["confidence"], "seed": 3, "regex": REGEX}
    states = list(model.stream("the", 16, **options))
    assert "".join(state.piece for state in states) == model.complete("the", 16, **options).text
    talk = [{"role": "user", "content": "hi"}]
    answer = model.chat(talk, 16, **options)
    assert re.fullmatch(REGEX, answer.text)
    states = list(model.stream_chat(talk, 16, **options))
    assert "".join(state.piece for state in states) == answer.text


def test_between_two_texts(models, bert_model):
    """Nothing ends there: a text of the form has all the tokens."""
    for model in models:
        found = model.infill("the ", " sat", tokens=5, regex="[a-z]+ ?[a-z]*", n=4)
        assert all(re.fullmatch("[a-z]+ ?[a-z]*", each.text) for each in found)
        assert {len(each.tokens) for each in found} == {5}
        best = model.infill("the ", " sat", max_tokens=9, regex="(a|b){3}|(a|b){7}")
        assert re.fullmatch("(a|b){3}|(a|b){7}", best.text)
    found = bert_model.infill("the", "mat", tokens=2, choices=[" cats", " cat sat"], n=8)
    assert {each.text for each in found} <= {" cats", " cat sat"}
    assert (
        bert_model.edit("the dog sat", "dog", choices=[" cat"]).whole == "the  catsat"[:8] + " sat"
    )


def test_words_with_spaces_between_and_none_at_the_beginning(bert_model):
    """Texts are as they are decoded: behind others the first word has its space, too."""
    form = {"regex": " ?(the|a) (cat|dog)s?"}
    for prompt, text in (("", r"\w+ \w+"), ("on", r" \w+ \w+")):
        for count in (2, 3):
            found = bert_model.complete([prompt] * 4, count, **form)
            assert all(re.fullmatch(form["regex"], each.text) for each in found)
            assert all(re.fullmatch(text, each.text) for each in found)
    mixed = bert_model.complete(["", "on", "", "on"], 2, **form)
    assert [each.text.startswith(" ") for each in mixed] == [False, True, False, True]


def test_blocks_of_a_network_are_filled_with_the_end(models):
    """What fills the last block is no part of the text, and the text ends before it."""
    from dataclasses import replace

    model = models[1]
    spec = replace(model.denoiser.spec, block_size=8)

    class Blocks(type(model.denoiser)):
        @property
        def spec(self):
            return spec

    inner = Blocks.__new__(Blocks)
    inner.__dict__ = dict(model.denoiser.__dict__)
    blocked = TextModel(inner, model.encoding, end_ids=model.end_ids)
    strategy = presets.llada(steps=8, block=8)
    found = blocked.complete("abc", 10, n=6, regex="[ab]{6,9}", strategy=strategy)
    assert all(re.fullmatch("[ab]{6,9}", each.text) for each in found)
    endless = TextModel(inner, model.encoding)
    with pytest.raises(InputError, match=r"the network generates whole blocks.*: pass 13"):
        endless.complete("abc", 10, regex="[ab]{6,20}", strategy=strategy)


def test_equal_forms_are_compiled_once(models, monkeypatch):
    from unmask.text import structured

    made = []
    real = structured.token_automaton

    def counted(*args, **named):
        made.append(args)
        return real(*args, **named)

    monkeypatch.setattr(structured, "token_automaton", counted)
    for _ in range(3):
        models[1].complete(["", "the"], 8, regex="[ab]{2,3}c", strategy=STRATEGIES["confidence"])
    assert len(made) == 1


def test_a_row_depends_on_itself_alone(models):
    prompts = ["", "the cat", "über", "", "x"]
    options = {"regex": REGEX, "strategy": presets.random_order(6)}
    together = [each.text for each in models[0].complete(prompts, 16, **options)]
    few = [each.text for each in models[0].complete(prompts, 16, max_rows=2, **options)]
    assert few == together


def never_asked(model):
    """The model with a network that must not be asked."""

    def net(tokens):
        raise AssertionError("asked")

    spec = model.denoiser.spec
    asleep = unmask.wrap(net, mask_id=spec.mask_id, vocab_size=spec.vocab_size)
    return TextModel(asleep, model.encoding, end_ids=model.end_ids)


def nested(depth):
    """A schema of lists within lists."""
    return {"type": "array", "items": nested(depth - 1)} if depth else {"type": "null"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"regex": "a", "choices": ["a"]}, "regex= and choices= are both given"),
        ({"likeliest": True}, "likeliest=True chooses among texts of a form"),
        ({"regex": "("}, "is no regular expression: missing"),
        ({"regex": "a{40}"}, r"24 tokens: regex= takes 40 at least: pass 40 or more"),
        ({"json_schema": {"type": "x"}}, r"json_schema at \$: type 'x'"),
        ({"regex": "(" * 900 + "a" + ")" * 900}, "regex is nested too deeply"),
        ({"json_schema": nested(400)}, "json_schema is nested too deeply"),
        ({"choices": []}, "choices=.*: pass a text or more"),
        ({"choices": 3}, "choices is a int"),
        ({"choices": ["a", 3]}, r"choices\[1\] is a int"),
        ({"regex": "a", "stop": "b"}, r"stop=\['b'\] cuts a text of which all must match regex="),
        ({"regex": "a", "strategy": presets.llada21()}, "Edit changes them later"),
        ({"regex": "a", "strategy": presets.diffusion_gemma()}, "AtOnce commits the likeliest"),
        ({"regex": "a", "strategy": presets.daedal()}, "regex= .* EndConfidence changes them"),
        ({"choices": "a", "strategy": presets.rho_eos()}, "choices= .* EndDensity changes them"),
    ],
)
def test_what_cannot_be_is_told_before_the_work(models, options, told):
    model = never_asked(models[0])
    with pytest.raises(InputError, match=told):
        model.complete("x", 24, **options)
    with pytest.raises(InputError, match=told):
        next(iter(model.stream("x", 24, **options)))


def test_what_the_tokenizer_cannot_write(bert_model):
    with pytest.raises(InputError, match="no tokens that write 'dragon'"):
        bert_model.complete("", 4, choices=["cat", "dragon"])
    told = "no tokens that write 'cat'; behind other text its words begin with a space"
    with pytest.raises(InputError, match=told):
        bert_model.complete("the", 4, choices=["cat"])
    with pytest.raises(InputError, match="regex: this tokenizer has no tokens that write such"):
        bert_model.complete("", 4, regex="[0-9]+")
    with pytest.raises(InputError, match=r"9 tokens: no text that regex= allows .*one of \[2, 3\]"):
        bert_model.complete("", 9, regex="(the|a) cats?")


def test_the_empty_text(models):
    """It has no tokens, and a row has one at least: where nothing ends a text it cannot be."""
    model = models[0]
    endless = TextModel(model.denoiser, model.encoding)
    found = model.complete("x", 3, choices=["", "ab"], n=20)
    assert {each.text for each in found} == {"", "ab"}
    with pytest.raises(InputError, match="1 tokens: choices= takes 2 at least: pass 2 or more"):
        endless.complete("x", 1, choices=["", "ab"])
    with pytest.raises(InputError, match=r"3 tokens: .*; pass one of \[2\]"):
        endless.complete("x", 3, choices=["", "ab"])
    with pytest.raises(InputError, match="max_tokens=1: choices= takes 2 at least"):
        model.infill("x", "y", max_tokens=1, choices=["", "ab"])
    for call in (endless.complete, partial(model.infill, suffix="y", tokens=1)):
        with pytest.raises(InputError, match="only the empty text is of it"):
            call("x", choices=[""])


def test_a_strategy_with_a_hook_of_its_own(models):
    hook = unmask.constraints.Automaton.avoiding([[1]], models[0].denoiser.spec.vocab_size)
    strategy = presets.random_order(2).but(constraint=unmask.Constraint(feasible=hook))
    with pytest.raises(InputError, match="the strategy's own feasible= are both given"):
        models[0].complete("", 4, regex="a", strategy=strategy)


def test_lengths_that_are_too_short_and_those_that_do(models):
    """At one token fewer than is told the form is refused, at as many it is met."""
    for model in models:
        for words in pairwise(["größer", "a the mat", "x"]):
            longest = max(words, key=len)
            with pytest.raises(InputError, match="takes") as error:
                model.complete("", 1, regex=re.escape(longest).replace(r"\ ", " "))
            needed = int(re.search(r"takes (\d+)", str(error.value))[1])
            found = model.complete("", needed, regex=re.escape(longest).replace(r"\ ", " "))
            assert found.text == longest


def test_the_automaton_of_a_schema_is_that_of_its_expression():
    assert byte_automaton(schema_regex({"type": "null"})).accepts("null")
    assert issubclass(StrategyError, InputError)
