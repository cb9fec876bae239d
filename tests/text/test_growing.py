"""Completions by rows that grow: the text, its end, and what they cost."""

import numpy as np
import pytest
import torch
from tests.reference.network import Network

import unmask
from unmask import presets
from unmask.errors import StrategyError

SAID = " sat on the mat."


class Says(Network):
    """Sure of the tokens of a text behind `given` positions, and of the end behind it."""

    trims = True

    def __init__(self, encoding, given, text, end):
        self.vocab_size, self.mask_id = encoding.size, encoding.backend.mask_token_id
        self.ids, self.given, self.end = encoding.encode(text), given, end
        self.widths = []

    def hidden(self, tokens, *, valid):
        self.widths.append(tokens.shape[1])
        out = torch.full((*tokens.shape, self.vocab_size), 1e-6).log()
        for place in range(tokens.shape[1]):
            nth = place - self.given
            known = 0 <= nth < len(self.ids)
            out[:, place, self.ids[nth] if known else self.end] = np.log(0.97)
        return out


def saying(model, prompt, text=SAID):
    encoding, ends = model.encoding, model.end_ids
    network = Says(encoding, len(encoding.encode(prompt)), text, ends[0])
    return unmask.TextModel(network, encoding, end_ids=ends), network


@pytest.mark.parametrize(
    "strategy",
    [
        presets.daedal(initial=4, expansion=4, window=8),
        presets.rho_eos(initial=4, expansion=1, block=None),
    ],
    ids=lambda s: s.name,
)
def test_the_text_is_as_long_as_it_should_be(byte_model, strategy):
    model, network = saying(byte_model, "the cat")
    found = model.complete("the cat", 400, strategy=strategy)
    assert found.text == SAID
    assert found.finish_reason == "stop"
    assert len(found.tokens) == len(network.ids)
    assert found.forwards == len(network.widths)
    assert max(network.widths) < 7 + len(network.ids) + 40, "no pass has the whole canvas"
    short = model.complete("the cat", 5, strategy=strategy)
    assert short.finish_reason == "length"
    assert short.tokens == network.ids[:5]


@pytest.mark.parametrize("make", [presets.daedal, presets.rho_eos])
def test_rows_are_as_alone_and_pieces_make_the_text(byte_model, make):
    strategy = make(0.3, 0.25, initial=3, expansion=2, temperature=1.0)
    prompts = ["the cat", "größer", "", "def f(x)"]
    options = {"strategy": strategy, "seed": 2}
    every = byte_model.complete(prompts, 24, **options)
    for prompt, together in zip(prompts, every, strict=True):
        alone = byte_model.complete(prompt, 24, **options)
        assert (alone.text, alone.tokens) == (together.text, together.tokens)
        assert alone.forwards == together.forwards
        states = list(byte_model.stream(prompt, 24, **options))
        assert "".join(state.piece for state in states) == alone.text
        assert len(states) == alone.forwards
    assert [e.text for e in every] == [
        e.text for e in byte_model.complete(prompts, 24, max_rows=2, max_tokens=40, **options)
    ]


def test_text_behind_the_unknown_says_so(byte_model, bert_model):
    with pytest.raises(StrategyError, match="and here the number of tokens is given"):
        byte_model.infill("the", "mat", tokens=3, strategy=presets.daedal())
    told = r"and '\[SEP\]' stands behind every text of this model, at a place that does not move"
    with pytest.raises(StrategyError, match=told):
        bert_model.complete("the cat", 3, strategy=presets.daedal(end_id=3))
    with pytest.raises(StrategyError, match=told):
        bert_model.stream("the cat", 3, strategy=presets.daedal(end_id=3))
