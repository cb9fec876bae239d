"""Documents that share rows come out as they do alone: states, losses, gradients, generations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models import decoders
from tests.models.decoders import decoder, network
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM
from x_transformers import Encoder, TransformerWrapper

import unmask
from unmask import objectives
from unmask.core.network import Query
from unmask.errors import CanvasError, DataError, ModelError
from unmask.models import BlockCache, Decoder
from unmask.models.layout import PackedLayout, first_fit_decreasing, lay_out
from unmask.models.packed_networks import FAMILIES

VOCAB, MASK, PAD, LENGTH = 13, 2, 1, 9
SIZES = torch.tensor([9, 3, 5, 1, 7, 2])
VALID = torch.arange(LENGTH) < SIZES[:, None]
TOKENS = torch.randint(3, VOCAB, VALID.shape, generator=torch.Generator().manual_seed(5))


def family(kind: str, attention: str | None = None, **options):
    """A small network whose weights are large enough for neighbours to matter."""
    config = AutoConfig.for_model(
        kind,
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.3,
        pad_token_id=PAD,
        **{"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None},
        **options,
    )
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        setattr(config, name, 0.0)
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(config, attn_implementation=attention)


OPTIONS = {
    "esm": {"mask_token_id": MASK, "token_dropout": True, "position_embedding_type": "rotary"},
    "modernbert": {"local_attention": 4, "global_attn_every_n_layers": 2},
    "electra": {"embedding_size": 16},
}


def x_transformer(positions: bool = True, longest: int = 16, **encoder):
    torch.manual_seed(0)
    layers = Encoder(dim=16, depth=2, heads=2, **encoder)
    return TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=longest, attn_layers=layers, use_abs_pos_emb=positions
    )


NETWORKS = {
    **{kind: lambda k=kind: family(k, **OPTIONS.get(k, {})) for kind in sorted(FAMILIES)},
    "bert, eager": lambda: family("bert", "eager"),
    "modernbert, eager": lambda: family("modernbert", "eager", **OPTIONS["modernbert"]),
    "x, learnt": x_transformer,
    "x, flash": lambda: x_transformer(attn_flash=True),
    "x, rotary": lambda: x_transformer(False, rotary_pos_emb=True),
    "x, alibi": lambda: x_transformer(False, alibi_pos_bias=True),
}


def loss_and_gradients(denoiser) -> tuple[float, dict[str, Tensor]]:
    """Of the count loss on the documents, by parameter name of the network."""
    net = getattr(denoiser, "inner", denoiser).net
    net.zero_grad()
    # ESM divides by the share of visible tokens, so that one of each document stays visible.
    maskable = VALID & (torch.arange(LENGTH) > 0)
    loss = objectives.count(denoiser, TOKENS, maskable, 3, valid=VALID).loss
    loss.backward()
    grads = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
    return float(loss.detach()), grads


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of two sets of gradients, relative to the largest entry."""
    assert one.keys() == other.keys()
    scale = max(float(g.abs().max()) for g in one.values())
    return max(float((g - other[n]).abs().max()) for n, g in one.items()) / scale


@pytest.mark.parametrize("name", NETWORKS)
def test_packed_is_unpacked_in_loss_and_every_gradient(name, monkeypatch):
    denoiser = unmask.wrap(NETWORKS[name](), mask_id=MASK)
    packed = unmask.Packed(denoiser, 12)
    loss, gradients = loss_and_gradients(denoiser)
    again, same = loss_and_gradients(packed)
    assert again == pytest.approx(loss, abs=1e-6 * max(1, abs(loss)))
    assert furthest(gradients, same) < 1e-5
    # Negative control: rows in which documents see each other.
    everything = PackedLayout.together
    monkeypatch.setattr(PackedLayout, "together", lambda self: torch.ones_like(everything(self)))
    other, _ = loss_and_gradients(packed)
    assert abs(other - loss) > 1e-4


def test_fewer_positions_pass_through_the_network():
    """27 tokens in rows of 12 are three rows, not six of nine."""
    shown = lay_out(VALID, 12)
    assert (shown.rows, shown.width) == (3, 12)
    owners = shown.pack(torch.arange(6)[:, None].expand_as(VALID) + 1)
    assert sorted(owners.flatten().bincount(minlength=7)[1:].tolist()) == sorted(SIZES.tolist())


@given(st.lists(st.integers(0, 10), max_size=12))
def test_first_fit_decreasing_is_the_textbook_rule(sizes):
    spots, filled = first_fit_decreasing(sizes, 10)
    bins: list[list[int]] = []
    for size in sorted((s for s in sizes if s), reverse=True):
        home = next((b for b in bins if sum(b) + size <= 10), None)
        if home is None:
            bins.append([size])
        else:
            home.append(size)
    assert filled == [sum(b) for b in bins]
    taken = [
        (row, at + i) for (row, at), size in zip(spots, sizes, strict=True) for i in range(size)
    ]
    assert len(taken) == len(set(taken)) == sum(sizes)
    assert all(at < filled[row] for row, at in taken)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert", "x, learnt"])
def test_positions_are_those_of_the_row_wherever_padding_is(name):
    """Padding before and between tokens, as an adapter would see it unpacked."""
    valid = torch.rand(5, LENGTH, generator=torch.Generator().manual_seed(1)) < 0.6
    denoiser = unmask.wrap(NETWORKS[name]().eval(), mask_id=MASK)
    query = Query.of(TOKENS[:5], valid)
    alone, _ = denoiser.forward(query, None)
    packed, _ = unmask.Packed(denoiser, 12).forward(query, None)
    assert torch.allclose(alone[valid], packed[valid], atol=1e-5)
    assert (packed[~valid] == 0).all()


def canvas() -> unmask.Canvas:
    editable = torch.arange(LENGTH) % 3 > 0
    rows = [TOKENS[i, :n] for i, n in enumerate(SIZES.tolist())]
    return unmask.Canvas.ragged(rows, editable=[editable[: len(row)] for row in rows])


@pytest.mark.parametrize("name", ["megatron-bert", "x, rotary"])
def test_generation_is_the_same(name):
    denoiser = unmask.wrap(NETWORKS[name](), mask_id=MASK, forbidden=[0, PAD])
    options = {"strategy": unmask.presets.random_order(4), "seed": 1}
    alone = unmask.generate(denoiser, canvas(), **options)
    assert torch.equal(alone, unmask.generate(unmask.Packed(denoiser, 12), canvas(), **options))
    options["seed"] = 2
    assert not torch.equal(alone, unmask.generate(denoiser, canvas(), **options))


def test_a_logit_shift_stays_inside_a_document():
    denoiser = unmask.wrap(family("bert").eval(), mask_id=MASK, logit_shift=True)
    alone, _ = denoiser.forward(Query.of(TOKENS, VALID), None)
    packed, _ = unmask.Packed(denoiser, 12).forward(Query.of(TOKENS, VALID), None)
    assert torch.allclose(alone[VALID], packed[VALID], atol=1e-5)


def test_classes_go_with_their_documents():
    net = family("megatron-bert", type_vocab_size=4).eval()
    inner = unmask.ClassConditioned(unmask.wrap(net, mask_id=MASK), classes=3)
    classes = torch.tensor([0, 1, 2, -1, 1, 0])
    packed = unmask.Packed(inner, 12)
    alone, _ = inner.forward(Query.of(TOKENS, VALID, classes), None)
    both, _ = packed.forward(Query.of(TOKENS, VALID, classes), None)
    assert torch.allclose(alone[VALID], both[VALID], atol=1e-5)
    other, _ = packed.forward(Query.of(TOKENS, VALID, classes.flip(0)), None)
    assert not torch.allclose(alone[VALID], other[VALID], atol=1e-2)


def test_self_conditioning_reads_its_own_document():
    torch.manual_seed(0)
    parts = unmask.SelfConditioning(16)
    denoiser = unmask.wrap(x_transformer().eval(), mask_id=MASK, self_conditioning=parts)
    packed = unmask.Packed(denoiser, 12)
    assert packed.spec.cached
    query = Query.of(TOKENS, VALID)
    alone, cache = denoiser.forward(query, None)
    first, kept = packed.forward(query, None)
    assert torch.allclose(alone[VALID], first[VALID], atol=1e-5)
    again, _ = denoiser.forward(query, cache)
    second, _ = packed.forward(query, kept)
    assert torch.allclose(again[VALID], second[VALID], atol=1e-5)
    assert not torch.allclose(first[VALID], second[VALID], atol=1e-2)


REFUSED = {
    "another family": (lambda: family("distilbert", n_heads=2), "not tested for distilbert"),
    "shifted tokens": (lambda: x_transformer(shift_tokens=1), "change each other's states"),
    "polar positions": (lambda: x_transformer(False, polar_pos_emb=True), "change each other's"),
    "biases by distance": (lambda: x_transformer(rel_pos_bias=True), "only alibi allowed"),
    "learnt positions": (lambda: x_transformer(longest=10), "has 10 learnt positions"),
    "cross-attention": (lambda: x_transformer(cross_attend=True), "cross-attention"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_networks_that_cannot_are_refused(what):
    make, words = REFUSED[what]
    with pytest.raises(ModelError, match=words):
        unmask.Packed(unmask.wrap(make(), mask_id=MASK), 12)


def test_other_refusals_say_what_to_do():
    with pytest.raises(ModelError, match=r"pass unmask\.wrap"):
        unmask.Packed(unmask.wrap(lambda t: t, mask_id=MASK, vocab_size=VOCAB), 12)
    packed = unmask.Packed(unmask.wrap(family("bert"), mask_id=MASK), 8)
    with pytest.raises(DataError, match="document 0 has 9 tokens, and packed rows have 8"):
        packed.forward(Query.of(TOKENS, VALID), None)
    with pytest.raises(DataError, match="no row of the batch has a token"):
        packed.forward(Query.of(TOKENS, VALID & False), None)
    tokens, short = TOKENS[:, :8], VALID[:, :8]
    with pytest.raises(CanvasError, match="are computed by packing"):
        packed.forward(Query.of(tokens, short, {"position_ids": tokens}), None)
    with pytest.raises(CanvasError, match="a value for each token"):
        packed.forward(Query.of(tokens, short, {"encoder": torch.zeros(6, 4)}), None)


@pytest.mark.parametrize("kind", ["llama", "llama, eager", "gpt2"])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("block", [None, 4])
def test_documents_in_rows_of_a_decoder(block, shift, kind, monkeypatch):
    """Bidirectional and in blocks, which begin anew in each document, as positions do."""
    name, attention = (*kind.split(", "), None)[:2]
    inner = decoder(name, block, attention, shift)
    packed = unmask.Packed(inner, 12)
    assert packed.spec.block_size == block
    objective = objectives.complementary if block is None else objectives.block_diffusion
    given = {"tokens": TOKENS, "maskable": VALID, "seed": 3, "valid": VALID}

    def found(denoiser):
        inner.net.zero_grad()
        loss = objective(denoiser, **given)
        loss.loss.backward()
        return loss.per_example, {n: p.grad.clone() for n, p in inner.net.named_parameters()}

    (loss, gradients), (again, same) = found(inner), found(packed)
    torch.testing.assert_close(again, loss, atol=1e-5, rtol=1e-6)
    assert furthest(gradients, same) < 1e-5
    # Negative control: rows in which documents see each other.
    everything = PackedLayout.together
    monkeypatch.setattr(PackedLayout, "together", lambda self: torch.ones_like(everything(self)))
    assert float((found(packed)[0] - loss).abs().max()) > 1e-2


def test_a_packed_decoder_generates_and_opens_again(tmp_path):
    inner = decoder(block=4)
    packed = unmask.Packed(inner, 12)
    ragged = decoders.canvas()
    options = {"strategy": unmask.presets.random_order(4), "seed": 1}
    alone = unmask.generate(inner, ragged, **options)
    assert torch.equal(alone, unmask.generate(packed, ragged, **options))
    unmask.save(packed, tmp_path / "m")
    opened = unmask.load(tmp_path / "m")
    assert opened.packed_length == 12
    assert torch.equal(alone, unmask.generate(opened, ragged, **options))


def test_decoders_that_cannot_be_packed():
    with pytest.raises(ModelError, match=r"BlockCache cannot be packed.*or a Decoder"):
        unmask.Packed(BlockCache(decoder(block=4)), 12)
    packed = unmask.Packed(decoder(block=4), 8)
    with pytest.raises(DataError, match="document 0 has 9 tokens, and packed rows have 8"):
        objectives.block_diffusion(packed, TOKENS, VALID, 0, valid=VALID)
    windowed = unmask.Packed(Decoder(network("mistral", sliding_window=8), decoders.MASK), 12)
    with pytest.raises(CanvasError, match="sliding window of 8"):
        windowed.forward(Query.of(TOKENS, VALID), None)
