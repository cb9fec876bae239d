"""Left-to-right networks as masked ones: what is refused, and what is changed."""

import pytest
import torch
import transformers
from tests.models.decoders import network
from tests.text.models import byte_level

import unmask
from unmask.core.network import Query
from unmask.errors import ModelError
from unmask.models import Decoder
from unmask.models.conversion import CHUNK, converted

OWN = byte_level(mask=False)
WORDS = len(OWN)
NEW = WORDS  # the next id


def made(kind="qwen3", room=0, **options):
    net = network(kind, **options)
    net.resize_token_embeddings(WORDS + room, mean_resizing=False)
    with torch.no_grad():
        for layer in (net.get_input_embeddings(), net.get_output_embeddings()):
            layer.weight.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    return net


def tables(net):
    return net.get_input_embeddings().weight, net.get_output_embeddings().weight


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("room", [0, 5])
def test_the_row_of_the_mask_is_the_mean_of_the_words(room, tied, monkeypatch):
    monkeypatch.setattr("unmask.models.conversion.CHUNK", 64)  # several parts
    net = made(room=room, tie_word_embeddings=tied)
    before = [table.detach().clone() for table in tables(net)]
    place = [table.data_ptr() for table in tables(net)]
    decoder = converted(net, NEW, OWN, block=None, logit_shift=True)
    assert CHUNK > 64
    assert decoder.net is net
    assert net.config.vocab_size == decoder.spec.vocab_size == WORDS + max(room, 1)
    assert len({table.data_ptr() for table in tables(net)}) == (1 if tied else 2)
    for old, new, at in zip(before, tables(net), place, strict=True):
        torch.testing.assert_close(new[NEW], old[:WORDS].mean(0))
        assert torch.equal(new[:WORDS], old[:WORDS])
        assert torch.equal(new[NEW + 1 :], old[NEW + 1 :])
        assert (new.data_ptr() == at) == bool(room), "copied only where there is no room"


def test_a_head_with_a_bias_has_its_mean_too():
    net = made("phi")
    with torch.no_grad():
        net.lm_head.bias.normal_(generator=torch.Generator().manual_seed(1))
    before = net.lm_head.bias.detach().clone()
    converted(net, NEW, OWN, block=None, logit_shift=True)
    torch.testing.assert_close(net.lm_head.bias[NEW], before.mean())
    assert torch.equal(net.lm_head.bias[:NEW], before)


def test_of_an_id_in_use_before_the_others_are_the_mean():
    net = made()
    before = tables(net)[0].detach().clone()
    converted(net, 2, OWN, block=None, logit_shift=False)
    assert net.config.vocab_size == WORDS
    others = torch.arange(WORDS) != 2
    torch.testing.assert_close(tables(net)[0][2], before[others].mean(0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_mean_is_computed_in_float32(dtype, monkeypatch):
    monkeypatch.setattr("unmask.models.conversion.CHUNK", 8)  # many parts, which would round
    net = made().to(dtype)
    with torch.no_grad():
        tables(net)[0].mul_(0.01).add_(0.3)
        tables(net)[0][0] += 200.0
    wanted = tables(net)[0].double().mean(0)
    converted(net, NEW, OWN, block=None, logit_shift=True)
    torch.testing.assert_close(
        tables(net)[0][NEW].double(), wanted, atol=0, rtol=torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2", "gpt2"])
def test_before_training_it_says_what_it_said(kind):
    """With all before it known, the next token has the left-to-right network's distribution."""
    net = made(kind)
    tokens = torch.randint(3, WORDS, (2, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = net(input_ids=tokens).logits
    decoder = converted(net, NEW, OWN, block=None, logit_shift=True)
    for place in range(1, 6):
        row = Query.of(tokens[:, : place + 1].clone().index_fill_(1, torch.tensor(place), NEW))
        one = Decoder(net, NEW, block=1, logit_shift=True)
        with torch.no_grad():
            logits = one.logits(one.forward(row, None)[0][:, place])
        torch.testing.assert_close(logits[:, :WORDS], wanted[:, place - 1], atol=1e-4, rtol=1e-4)
    assert decoder.logit_shift


@pytest.mark.parametrize("block", [None, 4])
def test_the_preset_fits_the_attention(block):
    decoder = converted(made(), NEW, OWN, block=block, logit_shift=True)
    preset = decoder.spec.recommended
    assert preset["name"] == ("llada" if block is None else "sdar")
    assert decoder.block == decoder.spec.block_size == block
    assert not decoder.training
    tokens = unmask.generate(decoder, batch_size=2, length=8, seed=0)
    assert tokens.shape == (2, 8)
    assert not (tokens == NEW).any()


def test_words_of_the_tokenizer_end_nothing():
    """A config has ids by default that are words here, such as Llama's 2."""
    net = made("llama")
    net.config.eos_token_id = net.generation_config.eos_token_id = [77, 0]
    spec = converted(net, NEW, OWN, block=None, logit_shift=True).spec
    assert (spec.end_id, spec.other_ends) == (OWN.eos_token_id, ()) == (0, ())
    assert spec.reserved == (1, 2)


def test_a_network_that_cannot_is_left_as_it_was():
    net = network("jamba", mamba_d_state=2)
    before = tables(net)[0].detach().clone()
    with pytest.raises(ModelError, match="ignores its mask"):
        converted(net, 17, OWN, block=None, logit_shift=True)
    assert torch.equal(tables(net)[0], before)


def t5():
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=WORDS, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
            decoder_start_token_id=0,
        )
    )  # fmt: skip


def bert():
    return transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16,
        )
    )  # fmt: skip


def modern_bert():
    return transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig(
            vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, pad_token_id=0, bos_token_id=0, eos_token_id=0, cls_token_id=0,
            sep_token_id=0,
        )
    )  # fmt: skip


GROWS = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
FAR = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4,
       "long_factor": [2.0] * 4, "factor": 2.0, "original_max_position_embeddings": 32}  # fmt: skip
SLIDING = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
REFUSED = {
    "masked": (bert, r"BertForMaskedLM, an encoder.*all positions already.*--from"),
    "masked, newer": (modern_bert, r"ModernBertForMaskedLM, an encoder.*unmask\.wrap"),
    "encoder and decoder": (t5, r"an encoder with a decoder.*Qwen3ForCausalLM"),
    "a denoiser": (lambda: Decoder(network(), 16), r"is a denoiser, and masked already"),
    "growing rotations": (lambda: network(rope_parameters=GROWS), "rope_type='dynamic'"),
    "far rotations": (lambda: network(rope_parameters=FAR), "rope_type='longrope'"),
    "a window": (lambda: network("mistral", sliding_window=8), "sliding window of 8 positions"),
    "some layers with a window": (lambda: network("qwen2", **SLIDING), "sliding window of 8"),
    "gemma's windows": (lambda: network("gemma2", head_dim=8), "sliding window of 4096"),
    "alibi": (lambda: network("bloom"), "has ALiBi"),
    "alibi of falcon": (lambda: network("falcon", alibi=True), "has ALiBi"),
    "alibi of mpt": (lambda: network("mpt", d_model=16, n_heads=2, n_layers=1), "has ALiBi"),
    "a trunk": (lambda: network().model, r"is not a transformers \*ForCausalLM"),
    "no network": (lambda: len, "is no network of transformers.*Qwen/Qwen3"),
    "nothing": (lambda: None, "is no network of transformers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_networks_that_cannot_be_converted_are_refused(what):
    make, words = REFUSED[what]
    with pytest.raises(ModelError, match=words):
        unmask.convert(make(), tokenizer=OWN)
