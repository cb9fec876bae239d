"""Rows of different lengths share passes of the trunk, with little padding and no effect."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.network import Network

import unmask
from unmask import Canvas, presets
from unmask.decoding.packing import PADDING, widths
from unmask.models.forwarding import Forwarding

VOCAB, MASK = 11, 10


def passed(lengths, bounds):
    """How many positions the trunk is given."""
    return sum(min(b for b in bounds if b >= max(n, 1)) for n in lengths)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_padding_stays_below_the_share(lengths):
    bounds = widths(np.array(lengths))
    assert bounds == sorted(set(bounds))
    assert bounds[-1] == max(*lengths, 1)
    given_, needed = passed(lengths, bounds), sum(max(n, 1) for n in lengths)
    assert given_ == needed or given_ - needed < PADDING * given_


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_passes_are_few(lengths):
    """Against every way to cut: never more than one pass above the fewest."""
    found = sorted(set(lengths))
    fewest = min(
        len(chosen)
        for size in range(1, len(found) + 1)
        for chosen in itertools.combinations(found, size)
        if chosen[-1] == found[-1]
        and passed(lengths, chosen) - sum(lengths) <= PADDING * passed(lengths, chosen)
    )
    assert len(widths(np.array(lengths))) <= fewest + 1


def network(kind):
    torch.manual_seed(0)
    if kind == "x-transformers":
        from x_transformers import Encoder, TransformerWrapper

        layers = Encoder(dim=16, depth=1, heads=2)
        net = TransformerWrapper(num_tokens=VOCAB, max_seq_len=40, attn_layers=layers)
    else:
        from transformers import BertConfig, BertForMaskedLM

        sizes = {"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 40}
        layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "type_vocab_size": 4}
        net = BertForMaskedLM(BertConfig(vocab_size=VOCAB, **sizes, **layers))
    denoiser = unmask.wrap(net.eval(), mask_id=MASK)
    return unmask.models.ClassConditioned(denoiser, 3) if kind == "classes" else denoiser


class Counting(Forwarding):
    """The denoiser, noting the shape of each pass."""

    def __init__(self, inner):
        super().__init__(inner)
        self.shapes = []

    def forward(self, query, cache):
        self.shapes.append(tuple(query.tokens.shape))
        return self.inner.forward(query, cache)


LENGTHS = [30, 5, 29, 6, 30, 1, 28, 6]


@pytest.mark.parametrize("kind", ["x-transformers", "bert", "classes"])
@pytest.mark.parametrize("name", ["random_order", "threshold"])
def test_rows_are_cut_to_about_their_length_and_stay_the_same(kind, name):
    denoiser = Counting(network(kind))
    strategy = presets.threshold(0.2) if name == "threshold" else presets.random_order(steps=4)
    condition = torch.arange(8) % 3 if kind == "classes" else None
    lines = [[MASK] * n for n in LENGTHS]
    canvas = Canvas.ragged(lines, [[True] * n for n in LENGTHS])
    canvas = Canvas(canvas.tokens, canvas.editable, canvas.valid, condition)
    record = unmask.run(denoiser, canvas, strategy, seeds=range(8))
    assert denoiser.shapes[:2] == [(4, 6), (4, 30)]
    spent = sum(rows * width for rows, width in denoiser.shapes)
    needed = sum(int(n) * int(f) for n, f in zip(LENGTHS, record.forwards, strict=True))
    assert spent < needed / (1 - PADDING) * 1.001
    for row, n in enumerate(LENGTHS):
        alone = Canvas.blank(
            1, n, condition=None if condition is None else condition[row : row + 1]
        )
        expected = unmask.run(denoiser.inner, alone, strategy, seeds=[row])
        assert record.tokens[row, :n].tolist() == expected.tokens[0].tolist()
        torch.testing.assert_close(record.logprob[row, :n], expected.logprob[0])


def test_a_network_with_a_cache_is_given_whole_rows():
    from x_transformers import Encoder, TransformerWrapper

    net = TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=40, attn_layers=Encoder(dim=16, depth=1, heads=2)
    )
    parts = unmask.models.SelfConditioning(16)
    denoiser = Counting(unmask.wrap(net.eval(), mask_id=MASK, self_conditioning=parts))
    canvas = Canvas.ragged([[MASK] * 20, [MASK] * 3], [[True] * 20, [True] * 3])
    unmask.run(denoiser, canvas, presets.random_order(2), seed=0)
    assert set(denoiser.shapes) == {(2, 20)}


class ByBlock(Network):
    """Its answer at each row is that row's open block."""

    vocab_size, mask_id, inputs, block_size = VOCAB, MASK, frozenset({"open_block"}), 2

    def forward(self, query, cache):
        seen = torch.from_numpy(query.open_block)
        assert len(seen) == len(query.tokens)
        hidden = torch.zeros(*query.tokens.shape, VOCAB)
        hidden[..., :8] = torch.nn.functional.one_hot(seen, 8)[:, None] * 50.0
        return hidden, None


def test_rows_that_share_a_pass_keep_their_open_blocks():
    engine, found = unmask.Engine(ByBlock()), {}
    strategies = [presets.llada(steps, block=2) for steps in (1, 2)]
    for seed, strategy in enumerate(strategies):
        engine.submit(Canvas.blank(2, 8), strategy, [seed * 2, seed * 2 + 1])
    while len(engine.unfinished):
        for event in engine.step():
            found |= {row: record.tokens[0].tolist() for row, record in event.results()}
    assert list(found.values()) == [[0, 0, 1, 1, 2, 2, 3, 3]] * 4
