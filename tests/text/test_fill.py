"""Masks in a text: the numbers of transformers' pipeline, joint fillings, lengths."""

import re
from itertools import product

import pytest
import torch
import transformers

import unmask
from unmask.errors import CanvasError, InputError
from unmask.text import TokenizerEncoding, masks
from unmask.text.request import ROWS

from .models import wordpiece

TEXTS = ["The cat [MASK] on the mat.", "[MASK] is the capital of France .", "un[MASK] dogs"]


@pytest.fixture(scope="module")
def pipeline(masked):
    return transformers.pipeline("fill-mask", model=str(masked), device="cpu")


@pytest.mark.parametrize("text", TEXTS)
def test_one_mask_is_that_of_the_pipeline(text, bert_model, pipeline):
    """The same entries, but for special tokens, which are not generated."""
    special = bert_model.encoding.special
    theirs = [found for found in pipeline(text, top_k=20) if found["token"] not in special][:5]
    ours = [found.to_dict() for found in bert_model.fill(text, top_k=5)]
    assert [found["token"] for found in ours] == [found["token"] for found in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["score"] == pytest.approx(other["score"], rel=1e-5)
        assert mine["token_str"] == other["token_str"]
        assert mine["sequence"] == other["sequence"]


def joint(model, ids, places, tokens):
    """log p of tokens at places: the most certain position first, one forward for each."""
    ids, left, total = list(ids), dict(zip(places, tokens, strict=True)), 0.0
    barred = sorted(model.encoding.special)
    while left:
        with torch.no_grad():
            net = model.denoiser.net
            logp = net(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        sure = logp.clone()
        sure[:, barred] = -torch.inf
        place = max(left, key=lambda place: float(sure[place].max()))
        total += float(logp[place, left[place]])
        ids[place] = left.pop(place)
    return total


def test_several_masks_have_a_joint_probability(bert_model):
    ((ids, unknown),) = masks.encoded(
        bert_model.encoding, [masks.split("the [MASK:2] of [MASK].", "[MASK]")], mask_id=4
    )
    places = [i for i, hidden in enumerate(unknown) if hidden]
    found = bert_model.fill("the [MASK:2] of [MASK].", top_k=4)
    assert [len(each.tokens) for each in found] == [3] * 4
    for each in found:
        assert each.logprob == pytest.approx(joint(bert_model, ids, places, each.tokens), abs=1e-4)
        assert set(each.tokens).isdisjoint(bert_model.encoding.special)
    assert [e.logprob for e in found] == sorted((e.logprob for e in found), reverse=True)
    assert len({tuple(each.tokens) for each in found}) == 4


def test_a_wide_beam_finds_the_best_of_all(bert_model):
    """As wide as all pairs: the likeliest by its own order."""
    ((ids, unknown),) = masks.encoded(
        bert_model.encoding, [masks.split("a [MASK:2]", "[MASK]")], mask_id=4
    )
    places = [i for i, hidden in enumerate(unknown) if hidden]
    size = bert_model.denoiser.spec.vocab_size
    free = [i for i in range(size) if i not in bert_model.encoding.special]
    best = max(product(free, free), key=lambda pair: joint(bert_model, ids, places, pair))
    assert bert_model.fill("a [MASK:2]", top_k=len(free))[0].tokens == list(best)


def test_masks_of_a_strategy(bert_model):
    strategy = unmask.presets.random_order(steps=3)
    found = bert_model.fill("the [MASK:3] .", top_k=6, strategy=strategy, seed=1)
    assert 1 < len(found) <= 6
    assert [e.logprob for e in found] == sorted((e.logprob for e in found), reverse=True)
    assert found == bert_model.fill("the [MASK:3] .", top_k=6, strategy=strategy, seed=1)


def test_lengths_are_ranked_by_a_token(bert_model):
    found = bert_model.fill("the [MASK] .", candidates="1-3")
    assert sorted(len(each.tokens) for each in found) == [1, 2, 3]
    rates = [each.logprob / len(each.tokens) for each in found]
    assert rates == sorted(rates, reverse=True)
    (alone,) = bert_model.fill("the [MASK:2] .")
    two = next(each for each in found if len(each.tokens) == 2)
    assert two.tokens == alone.tokens
    assert two.logprob == pytest.approx(alone.logprob, abs=1e-4)
    assert bert_model.fill("the [MASK] .", candidates=[2]) == [alone]


def test_lists_in_lists_out(bert_model):
    """Texts of unequal length and several masks share forwards and change nothing."""
    every = [*TEXTS, "the [MASK:3] on a [MASK]", "[MASK] dog"]
    for text, together in zip(every, bert_model.fill(every, top_k=3), strict=True):
        alone = bert_model.fill(text, top_k=3)
        assert [each.sequence for each in together] == [each.sequence for each in alone]
        for one, other in zip(together, alone, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("no mask", {}, "has no mask: write"),
        ("a [MASK:0]", {}, r"\[MASK:0\] names no number of positions: write \[MASK\]"),
        ("a [MASK:-2]", {}, r"\[MASK:-2\] names no number of positions: write \[MASK\]"),
        ("a [MASK]", {"top_k": 0}, "top_k=0"),
        ("a [MASK]", {"candidates": "x"}, "candidates='x': pass lengths"),
        ("a [MASK]", {"candidates": "0-3"}, "candidates='0-3': pass lengths"),
        ("a [MASK]", {"candidates": "4-3"}, "candidates='4-3': pass lengths"),
        ("a [MASK] b [MASK]", {"candidates": "1-2"}, "for 2 masks"),
        ("a [MASK:200]", {}, "the text has 203 tokens, and the network 64 positions"),
    ],
)
def test_bad_input(text, options, told, bert_model):
    with pytest.raises((CanvasError, InputError), match=told):
        bert_model.fill(text, **options)


def test_masks_of_bytes_and_of_a_tokenizer_that_names_its_mask_otherwise(byte_model):
    (found,) = byte_model.fill("caf[MASK:2]!")
    assert found.sequence.startswith("caf")
    assert found.sequence.endswith("!")
    assert len(found.tokens) == 2
    assert byte_model.fill("caf<|mask|><|mask|>!") == [found]


def test_no_texts_are_no_fillings(bert_model, byte_model):
    assert bert_model.fill([]) == byte_model.fill([]) == []
    assert bert_model.encoding.encode_all([]) == []


def test_all_texts_are_tokenized_at_once_and_each_filled_as_alone(bert_model, monkeypatch):
    texts = ["the [MASK] of", "[MASK:2] in paris.", "a cat [PAD] [MASK]"]
    alone = [bert_model.fill(text, top_k=2) for text in texts]
    sizes, read = [], bert_model.encoding.backend._encode_plus
    monkeypatch.setattr(
        type(bert_model.encoding.backend),
        "_encode_plus",
        lambda self, text, **options: sizes.append(len(text)) or read(text, **options),
    )
    assert [each[0].tokens for each in bert_model.fill(texts, top_k=2)] == [
        each[0].tokens for each in alone
    ]
    # The last again, piece by piece, and its words: it has the name of a special token.
    assert sizes == [3, 2, 3]


def test_a_special_token_in_the_text_stays_text(byte_model):
    """Its name is spelt by other tokens; only a mask is one."""
    ((ids, unknown),) = masks.encoded(
        byte_model.encoding, [masks.split("<|end|> [MASK]", "<|mask|>")], mask_id=3
    )
    assert sum(unknown) == 1
    assert not {*ids} & {0, 1, 2}
    assert byte_model.encoding.decode(ids) == "<|end|> "


def uneven(sizes):
    """A network by which many ids are alike, but for rounding that depends on the batch."""

    def net(tokens):
        sizes.append(tuple(tokens.shape))
        shape, size = tokens.shape, len(wordpiece())
        rounding = torch.randn(*shape, size, generator=torch.manual_seed(len(sizes)))
        steps = torch.arange(size).div(4, rounding_mode="floor").expand(*shape, size).float()
        return steps * (1 + tokens.eq(4).sum(1).view(-1, 1, 1)) + 1e-6 * rounding

    return unmask.wrap(net, mask_id=4, vocab_size=len(wordpiece()))


def test_fillings_do_not_depend_on_the_texts_beside_them():
    """Positions, ids and rows that are alike are ranked by their places, not by rounding."""
    model = unmask.TextModel(uneven([]), TokenizerEncoding(wordpiece(), 4, surround=True))
    texts = ["the [MASK:3] .", "a [MASK]", "[MASK:2] dog", "the [MASK] of [MASK:2] in paris"]
    alone = [[each.tokens for each in model.fill(text, top_k=6)] for text in texts]
    for _ in range(3):
        together = model.fill(texts, top_k=6)
        assert [[each.tokens for each in every] for every in together] == alone
    ranked = [[e.tokens for e in model.fill("a [MASK]", candidates="1-4")] for _ in range(3)]
    assert ranked[0] == ranked[1] == ranked[2]


def test_a_forward_has_as_many_rows_as_elsewhere():
    """However many texts there are, and however wide their beams."""
    sizes = []
    model = unmask.TextModel(uneven(sizes), TokenizerEncoding(wordpiece(), 4, surround=True))
    texts = ["the [MASK:2] on the mat ."] * 70
    found = model.fill(texts, top_k=7)
    assert [len(every) for every in found] == [7] * 70
    assert max(rows for rows, _ in sizes) <= ROWS
    sizes.clear()
    drawn = model.fill("the [MASK:9] .", top_k=150, strategy=unmask.presets.random_order(steps=2))
    assert len(drawn) > ROWS
    assert max(rows for rows, _ in sizes) <= ROWS


@pytest.mark.parametrize("candidates", ["1-1000000000", range(1, 10**9), "7,1000000000"])
def test_lengths_are_refused_in_time(bert_model, candidates):
    named = re.escape(f"candidates={candidates!r} has ")
    with pytest.raises(CanvasError, match=named + "a length of .*, and the network 64 positions"):
        bert_model.fill("a [MASK]", candidates=candidates)
    model = unmask.TextModel(uneven([]), TokenizerEncoding(wordpiece(), 4, surround=True))
    told = r"[\d,]+ lengths of up to .* pass fewer or shorter ones, of 1,048,576 positions together"
    with pytest.raises(CanvasError, match=named + told):
        model.fill("a [MASK]", candidates=candidates)
    with pytest.raises(CanvasError, match="a text has 99,999,999,999 masks: write at most 1,048"):
        model.fill("a [MASK:99999999999]")


def test_lengths():
    assert masks.lengths("1,3,1") == [1, 3]
    assert masks.lengths([2, 2, 5]) == [2, 5]
    for wrong in ([1.5], [True], {1}, [], "", None, [0]):
        with pytest.raises(InputError, match="pass lengths of 1 or more"):
            masks.lengths(wrong)


@pytest.mark.parametrize("text", ["the zebra [MASK]", "the [MASK] of zebra .", "zebra[MASK]"])
def test_a_word_without_a_token_is_told(bert_model, text):
    """The filled text would not have it."""
    with pytest.raises(InputError, match="text 1: the tokenizer has no token for 'zebra': use"):
        bert_model.fill(["a [MASK]", text])
    assert bert_model.fill(text.replace("zebra", "[UNK]"))


def test_a_score_of_words_without_a_token(bert_model):
    for part in ({"text": "the zebra"}, {"text": "the", "given": "zebra"}):
        name = "given" if "given" in part else "text"
        with pytest.raises(InputError, match=f"{name}: the tokenizer has no token for 'zebra'"):
            bert_model.score(**part)
    assert bert_model.score("the [UNK] cat").nats_per_token > 0
