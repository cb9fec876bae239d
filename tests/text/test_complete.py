"""Completions: ends, stop strings, seeds, lists, streams, talk; text of any kind."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unmask
from unmask.errors import ArgumentError, CanvasError, DataError, InputError
from unmask.text.streaming import UNKNOWN

FREE = unmask.presets.random_order(steps=8)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=60)
@given(texts)
def test_any_text_comes_back(byte_model, fallback_model, text):
    """A prompt is encoded without a loss, names of special tokens included."""
    for model in (byte_model, fallback_model):
        for each in (text, f"{text}<|end|></s><mask>{text}"):
            assert model.encoding.decode(model.encoding.encode(each)) == each


@settings(max_examples=15)
@given(texts, st.integers(0, 2**31), st.sampled_from([(), "a", "M\x14", "\x14"]))
def test_pieces_are_the_final_text(byte_model, fallback_model, text, seed, stop):
    for model in (byte_model, fallback_model):
        options = {"seed": seed, "strategy": FREE, "stop": stop}
        states = list(model.stream(text, 12, **options))
        final = model.complete(text, 12, **options)
        assert "".join(state.piece for state in states) == final.text
        assert [state.finished for state in states] == [False] * (len(states) - 1) + [True]
        for state in states:  # no half of a character, and as many unknown as there are
            assert "\ufffd" not in state.snapshot
            assert state.snapshot.count(UNKNOWN) >= state.tokens.count(None) * (stop == ())


def drawn(completions):
    """What is drawn of each, without the rounding of its probabilities."""
    return [(each.text, each.tokens, each.commit_steps, each.forwards) for each in completions]


def test_a_row_depends_on_itself_alone(bert_model):
    """Whatever stands beside it, in whatever order, and however many at once."""
    rng = random.Random(0)
    words = ["the", "a", "cat", "dog", "mat", "sat", "on", "in", "ran", "house"]
    prompts = [" ".join(rng.choices(words, k=rng.randint(0, 40))) for _ in range(30)]
    alone = [bert_model.complete(prompt, 5, seed=3, strategy=FREE) for prompt in prompts]
    alone = drawn(alone)
    assert drawn(bert_model.complete(prompts, 5, seed=3, strategy=FREE)) == alone
    order = rng.sample(range(30), 30)
    shuffled = bert_model.complete([prompts[i] for i in order], 5, seed=3, strategy=FREE)
    assert drawn(shuffled) == [alone[i] for i in order]
    few = bert_model.complete(prompts, 5, seed=3, strategy=FREE, max_tokens=100, max_rows=4)
    assert drawn(few) == alone
    assert drawn(bert_model.complete(prompts, 5, seed=4, strategy=FREE)) != alone


def test_a_file_goes_on_where_it_was_interrupted(bert_model):
    """What was done before changes nothing of the rest, nor do prompts that stand twice."""
    prompts = ["the cat", "a dog sat", "the cat", "in the house", "the cat", "a"] * 3
    whole = drawn(bert_model.complete(prompts, 4, strategy=FREE))
    done = {0, 2, 3, 7, 11, 12}
    options = {"strategy": FREE, "max_rows": 4}
    rest = dict(bert_model.complete_each(prompts, 4, done=done, **options))
    assert rest.keys() == set(range(18)) - done
    assert drawn(rest.values()) == [whole[i] for i in rest]


def test_a_thousand_prompts_in_bounded_memory(bert_model, monkeypatch):
    """No pass of the network has more positions than max_tokens."""
    rng, seen = random.Random(1), []
    prompts = [" ".join(["the"] * rng.randint(1, 50)) for _ in range(1000)]
    run = bert_model.denoiser.run

    def counted(query, cache):
        seen.append(query.tokens.numel())
        return run(query, cache)

    monkeypatch.setattr(bert_model.denoiser, "run", counted)
    strategy = unmask.presets.random_order(steps=2)
    found = bert_model.complete(prompts, 4, strategy=strategy, max_tokens=1500)
    assert len(found) == 1000
    assert max(seen) <= 1500
    assert [each.given for each in found] == prompts


def test_equal_prompts_and_n_differ(bert_model):
    two = bert_model.complete(["the cat"] * 2, 8, strategy=FREE)
    assert two[0].tokens != two[1].tokens
    several = bert_model.complete("the cat", 8, n=3, strategy=FREE)
    assert drawn(several[:2]) == drawn(two)  # the same rows, asked for in another way
    assert [len(each) for each in bert_model.complete(["a", "the"], 4, n=2)] == [2, 2]
    assert bert_model.complete([], 4) == []


def test_special_tokens_are_never_generated(bert_model, byte_model):
    for model in (bert_model, byte_model):
        for strategy in (None, unmask.presets.random_order(steps=2)):
            found = model.complete("the cat", 16, n=30, strategy=strategy)
            drawn = {token for each in found for token in each.tokens}
            assert not drawn & model.encoding.special


def test_the_special_tokens_of_a_masked_model_stand_around(bert_model):
    [row] = bert_model.requests.continuations(["the cat"], 3).rows
    assert (row.before, row.unknown, row.after) == ([2, 5, 7], 3, [3])


def test_an_end_of_sequence(byte_model):
    """Text ends there, and nothing behind it is shown."""
    found = byte_model.complete("x", 40, n=40, strategy=unmask.presets.random_order(steps=40))
    reasons = {each.finish_reason for each in found}
    assert reasons == {"stop", "length"}
    for each in found:
        assert (len(each.tokens) < 40) == (each.finish_reason == "stop")
        assert len(each.logprobs) == len(each.commit_steps) == len(each.pieces) == len(each.tokens)


def test_stop_strings(byte_model):
    whole = byte_model.complete("x", 24, seed=5, strategy=FREE)
    stop = whole.text[7:9]
    assert stop
    cut = byte_model.complete("x", 24, seed=5, strategy=FREE, stop=["never", stop])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert byte_model.encoding.decode(cut.tokens).startswith(cut.text)
    assert not byte_model.encoding.decode(cut.tokens[:-1]).startswith(cut.text)


def test_a_talk(byte_model):
    messages = [{"role": "user", "content": "hi"}]
    answer = byte_model.chat(messages, 12, seed=2, strategy=FREE)
    states = list(byte_model.stream_chat(messages, 12, seed=2, strategy=FREE))
    assert "".join(state.piece for state in states) == answer.text
    ids = byte_model.encoding.template(messages, {})
    assert byte_model.encoding.decode(ids, special=True) == "<|user|>hi<|end|><|assistant|>"


def test_between_two_texts(bert_model):
    found = bert_model.infill("the cat", "the mat", tokens=3, seed=1)
    assert len(found.tokens) == 3
    assert found.whole == f"the cat{found.text}the mat"
    several = bert_model.infill("the cat", "the mat", max_tokens=6, n=2)
    assert len({len(each.tokens) for each in several}) == 1
    assert len(several[0].tokens) <= 6
    edited = bert_model.edit("the cat sat on the mat", "sat on")
    assert (edited.given, edited.suffix, len(edited.tokens)) == ("the cat ", " the mat", 2)
    assert bert_model.edit("the cat sat on the mat", (8, 14)) == edited


def test_between_two_texts_nothing_ends(byte_model):
    """The end of sequence is a special token there as others are."""
    found = byte_model.infill("def", "return", tokens=12, n=20)
    assert {len(each.tokens) for each in found} == {12}
    assert not {token for each in found for token in each.tokens} & byte_model.encoding.special


def test_scores(bert_model):
    one = bert_model.score("sat", given="the cat")
    assert (one.kind, one.tokens, one.standard_error) == ("exact", 1, 0)
    top = {each.token_strs[0]: each.logprob for each in bert_model.fill("the cat [MASK]", top_k=20)}
    hidden = torch.tensor([[2, 5, 7, 4, 3]])
    with torch.no_grad():
        logp = bert_model.denoiser.net(input_ids=hidden).logits[0, 3].log_softmax(-1)
    assert top["sat"] == pytest.approx(float(logp[11]), rel=1e-4)
    logp[4] = -torch.inf  # the mask token, which is never there
    assert one.nats_per_token == pytest.approx(-float(logp.log_softmax(-1)[11]), rel=1e-4)
    several = bert_model.score("sat on the mat", given="the cat")
    assert (several.kind, several.tokens) == ("bound", 4)
    assert bert_model.score("the cat sat").tokens == 3


def test_a_notebook(bert_model):
    page = bert_model.complete("the <b>cat</b> & dog", 5)._repr_html_()
    assert "<b>cat" not in page
    assert page.count("data-step=") == 5
    assert 'type="range"' in page


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: m.complete("the cat", 0), "max_new_tokens=0"),
        (lambda m: m.complete("the cat", 80), "3 given tokens|4 given .* generate at most 60"),
        (lambda m: m.complete("the " * 80, 8), "82 given tokens .* pass a shorter text"),
        (lambda m: m.complete("a", 4, n=0), "n=0"),
        (lambda m: m.complete(3), "prompt is a int: pass a text, or a list of texts"),
        (lambda m: m.complete(b"a"), "prompt is a bytes: pass a text"),
        (lambda m: m.complete({"a": 1}), "prompt is a dict"),
        (lambda m: m.complete(["a", 3]), r"prompt\[1\] is a int: pass a text"),
        (lambda m: m.complete("hi \ud83d"), "prompt has half a character .* at position 3"),
        (lambda m: m.complete("a", 4, stop=3), "stop is a int"),
        (lambda m: m.complete("a", 4, stop=["a", 3]), r"stop\[1\] is a int"),
        (lambda m: m.complete("a", 4, strategy="llada"), "strategy"),
        (lambda m: m.complete("a", 4, seed="x"), "seed='x'"),
        (lambda m: m.complete("a", 4, max_rows=0), "max_rows=0"),
        (lambda m: m.complete("a", 4, max_tokens=0), "max_tokens=0"),
        (lambda m: m.fill(3), "text is a int"),
        (lambda m: m.fill("a [MASK]", strategy="x"), "strategy"),
        (lambda m: m.stream(3), "prompt is a int"),
        (lambda m: m.infill(3, "b", tokens=1), "prefix is a int"),
        (lambda m: m.edit(3, "b"), "text is a int"),
        (lambda m: m.score("a", given=3), "given is a int"),
        (lambda m: m.chat("hi"), "messages='hi': pass a list such as"),
        (lambda m: m.chat([3]), "pass a list such as"),
        (lambda m: m.complete("a", 4, sed=1), r"takes no sed=: did you mean 'seed'"),
        (lambda m: m.infill("a", "b"), "pass tokens=.*or max_tokens=, not both"),
        (lambda m: m.infill("a", "b", tokens=2, max_tokens=2), "not both"),
        (lambda m: m.edit("a b", "c"), "span='c' is not in the text"),
        (lambda m: m.edit("a b", (2, 9)), r"span=\(2, 9\) of a text of 3 characters"),
        (lambda m: m.score(""), "text='' has no token"),
        (lambda m: m.chat([{"role": "user", "content": "x"}]), "no chat template"),
    ],
)
def test_bad_input(call, told, bert_model):
    with pytest.raises((CanvasError, InputError, DataError, ArgumentError), match=told):
        call(bert_model)


def test_a_template_that_fails(byte_model, monkeypatch):
    for wrong in ([], [{"role": "user"}], [{"role": "user", "content": None}]):
        with pytest.raises(InputError, match="pass a list such as"):
            byte_model.chat(wrong)
    template = "{{ raise_exception('only questions') }}"
    monkeypatch.setattr(byte_model.encoding.backend, "chat_template", template)
    with pytest.raises(DataError, match=r"the chat template fails .* only questions"):
        byte_model.chat([{"role": "user", "content": "x"}])


@pytest.mark.parametrize("name", ["bert_model", "byte_model", "fallback_model"])
def test_pieces_joined_are_the_text(name, request):
    """In a notebook words have spaces between them, and characters are whole."""
    model = request.getfixturevalue(name)
    for text in ("the cats sat, on", "naïve café 🙂 日本語", "a cat"):
        ids = model.encoding.encode(text)
        for begun in (0, 1):
            pieces = model.encoding.pieces(ids[begun:], ids[:begun])
            assert len(pieces) == len(ids) - begun
            assert "".join(pieces) == model.encoding.continued(ids[begun:], ids[:begun])
    made = model.complete("the", 12, strategy=unmask.presets.random_order(steps=4))
    assert "".join(made.pieces) == made.text
