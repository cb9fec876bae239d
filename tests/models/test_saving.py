"""Decoders and wrappers in folders: each opens as it was saved, and generates the same."""

import json

import pytest
import torch
from tests.conformance.test_networks import MASK, VOCAB, bert, esm
from tests.conformance.test_networks import x_transformer as build_x_transformer
from tests.models.decoders import MASK as LAST
from tests.models.decoders import decoder
from torch import nn
from transformers import BertConfig, BertForMaskedLM, LlamaForCausalLM

import unmask
from unmask import Canvas, Captured, ClassConditioned, Compiled, Packed, SelfConditioning, presets
from unmask.errors import CheckpointError, ModelError
from unmask.models import BlockCache, Decoder, ReusedCache
from unmask.models.checkpoint import CARD, read_card
from unmask.models.forwarding import Forwarding

pytestmark = pytest.mark.filterwarnings("ignore:no CUDA graph")


class Net(nn.Module):
    """A table of logits."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCAB, VOCAB)

    def forward(self, tokens):
        return self.table(tokens)


def conditioned():
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, type_vocab_size=4, initializer_range=0.5,
    )  # fmt: skip
    return ClassConditioned(unmask.wrap(BertForMaskedLM(config), mask_id=MASK, length=6), 3)


def self_conditioned():
    parts = SelfConditioning(32)
    return unmask.wrap(build_x_transformer(), mask_id=MASK, self_conditioning=parts)


ADAPTERS = {
    "bert": lambda: unmask.wrap(bert(), mask_id=MASK, forbidden=[2], length=6),
    "shifted": lambda: unmask.wrap(esm(), mask_id=MASK, logit_shift=True),
    "classes": conditioned,
    "x-transformers": lambda: unmask.wrap(build_x_transformer(), mask_id=MASK),
    "self-conditioned": self_conditioned,
    "module": lambda: unmask.wrap(Net(), mask_id=MASK, vocab_size=VOCAB),
    "blocks": lambda: decoder(block=4, shift=True),
    "both ways": lambda: Decoder(decoder("qwen3").net, LAST, forbidden=[1], length=7),
    "eager": lambda: decoder("mixtral", attention="eager", num_local_experts=2),
}
NETS = {
    "x-transformers": build_x_transformer,
    "self-conditioned": build_x_transformer,
    "module": Net,
}
WRAPPERS = {
    "alone": lambda inner: inner,
    "compiled": lambda inner: Compiled(inner, backend="eager"),
    "captured": lambda inner: Captured(inner, after=3, most=1),
    "both": lambda inner: Captured(Compiled(inner, backend="aot_eager")),
    "packed": lambda inner: Packed(inner, 12),
    "packed, compiled": lambda inner: Compiled(Packed(inner, 12), backend="eager"),
    "cached": BlockCache,
    "cached, captured": lambda inner: Captured(BlockCache(inner)),
    "reused": lambda inner: ReusedCache(inner, block=4, reuse="dual"),
    "reused, compiled": lambda inner: Compiled(ReusedCache(inner, block=3), backend="eager"),
}
ANY, PACKED = list(WRAPPERS)[:4], list(WRAPPERS)[4:6]
CACHED, REUSED = list(WRAPPERS)[6:8], list(WRAPPERS)[8:]
ALLOWED = {
    **dict.fromkeys(ADAPTERS, ANY),
    **dict.fromkeys(list(ADAPTERS)[:5], ANY + PACKED),
    "blocks": ANY + CACHED,
    "both ways": ANY + REUSED,
    "eager": ANY + REUSED,
}
PAIRS = [(adapter, wrapper) for adapter in ADAPTERS for wrapper in ALLOWED[adapter]]


def layers(denoiser):
    """The classes of a denoiser and of those within it, with what they print of themselves."""
    found = [type(denoiser).__name__, *(getattr(denoiser, n, None) for n in OPTIONS)]
    return [found, *(layers(denoiser.inner) if isinstance(denoiser, Forwarding) else [])]


OPTIONS = ("block", "reuse", "packed_length", "mode", "backend", "classes", "logit_shift")


def drawn(denoiser, **options):
    """Tokens and log-probabilities of three rows of unequal lengths."""
    spec = denoiser.spec
    canvas = Canvas.ragged(
        [torch.full((n,), 3) for n in (8, 6, 7)], [torch.arange(n) > 1 for n in (8, 6, 7)],
        pad_id=0, **options,
    )  # fmt: skip
    strategy = presets.random_order(3)
    if spec.block_size is not None:
        strategy = presets.sdar(None, spec.block_size, 2)
    record = unmask.run(denoiser, canvas, strategy, seeds=[1, 2, 3])
    return record.tokens, record.logprob


def same(one, other, **options):
    pairs = zip(drawn(one, **options), drawn(other, **options), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("adapter", "wrapper"), PAIRS)
def test_every_wrapper_of_every_adapter_opens_and_generates_the_same(adapter, wrapper, tmp_path):
    torch.manual_seed(5)
    denoiser = WRAPPERS[wrapper](ADAPTERS[adapter]().eval())
    folder = unmask.save(denoiser, tmp_path / "model")
    given = {"net": NETS[adapter]()} if adapter in NETS else {}
    again = unmask.load(folder, **given)
    assert layers(again) == layers(denoiser)
    assert again.spec == denoiser.spec
    assert not any(module.training for module in again.modules())
    conditions = {"condition": torch.tensor([2, -1, 0])} if adapter == "classes" else {}
    assert same(denoiser, again, **conditions)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_network_that_was_cast_is_read_bit_by_bit(adapter, tmp_path):
    """Without an argument, into a net of float32, and with buffers that are in no file."""
    torch.manual_seed(5)
    denoiser = ADAPTERS[adapter]().eval().to(torch.bfloat16)
    folder = unmask.save(denoiser, tmp_path / "model")
    given = {"net": NETS[adapter]()} if adapter in NETS else {}
    again = unmask.load(folder, **given)
    found = dict(again.named_parameters()) | dict(again.named_buffers())
    for name, value in (*denoiser.named_parameters(), *denoiser.named_buffers()):
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name
    if adapter in ("x-transformers", "self-conditioned"):
        return  # which do not run in bfloat16
    conditions = {"condition": torch.tensor([2, -1, 0])} if adapter == "classes" else {}
    assert same(denoiser, again, **conditions)


def test_buffers_of_no_network_are_refused(tmp_path):
    folder = unmask.save(decoder(block=4).to(torch.bfloat16), tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    assert card["buffers"] == dict.fromkeys(
        ["model.rotary_emb.inv_freq", "model.rotary_emb.original_inv_freq"], "bfloat16"
    )
    card["buffers"] = {"model.rotary.inv_freq": "bfloat16"}
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"buffers=.*rotary\.inv_freq.*no such buffer"):
        unmask.load(folder)


@pytest.mark.parametrize("adapter", ["bert", "classes", "blocks"])
def test_options_of_transformers_apply_to_its_networks(adapter, tmp_path):
    folder = unmask.save(ADAPTERS[adapter](), tmp_path / "model")
    options = {"dtype": torch.bfloat16, "device_map": "cpu", "attn_implementation": "eager"}
    found = unmask.load(folder, **options)
    assert {each.dtype for each in found.parameters()} == {torch.bfloat16}
    net = getattr(found, "inner", found).backbone
    assert net.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"dtype": torch.float16}, r"dtype=torch.float16: .* net.to\(dtype\) after loading"),
        ({"device_map": "cpu"}, r"device_map='cpu': .* make net so, or move it"),
        ({"revision": "main"}, r"revision='main': .* does not apply"),
        ({"mask_id": 0}, r"mask_id=0: .* does not apply"),
    ],
)
def test_options_that_a_network_of_ones_own_does_not_have(option, told, tmp_path):
    folder = unmask.save(ADAPTERS["module"](), tmp_path / "model")
    with pytest.raises(ModelError, match=told):
        unmask.load(folder, net=Net(), **option)


def test_a_decoder_is_a_folder_of_transformers(tmp_path):
    from transformers import AutoModelForCausalLM

    denoiser, tokens = decoder(block=3), torch.arange(8).unsqueeze(0)
    folder = unmask.save(denoiser, tmp_path / "model")
    net = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert type(net) is LlamaForCausalLM
    with torch.no_grad():
        assert torch.equal(net(tokens).logits, denoiser.backbone(tokens).logits)


def test_settings_of_generation_that_transformers_refuses_are_left_out(tmp_path):
    denoiser = decoder()
    own = denoiser.backbone.generation_config
    own.temperature, own.do_sample = 0.3, False
    again = unmask.load(unmask.save(denoiser, tmp_path / "model"))
    assert same(denoiser, again)
    assert denoiser.backbone.generation_config is own


def test_what_a_spec_says_survives_wherever_it_came_from(tmp_path):
    """Without the arguments of the first `save`, and with those that say something else."""
    layout = {"layout": {"kind": "image", "height": 2, "width": 3, "levels": 4}}
    about = {"preset": {"name": "maskgit", "steps": 3}, **layout}
    training = {"padding": {"eos_id": 2}}
    vocabulary = {"absent": [1, 3]}
    first = unmask.save(
        unmask.wrap(bert(), mask_id=MASK), tmp_path / "1", about=about, training=training,
        vocabulary=vocabulary,
    )  # fmt: skip
    second = unmask.save(Compiled(unmask.load(first), backend="eager"), tmp_path / "2")
    third = unmask.save(unmask.load(second), tmp_path / "3")
    for spec in (unmask.load(second).spec, unmask.load(third).spec):
        assert (spec.recommended, spec.grid) == (about["preset"], (2, 3))
        assert (spec.end_id, spec.reserved) == (2, (1, 3))
    other = {"about": {"preset": None, "layout": None}, "training": {}}
    spec = unmask.load(unmask.save(unmask.load(first), tmp_path / "4", **other)).spec
    assert (spec.recommended, spec.grid, spec.end_id, spec.reserved) == (None, None, None, (1, 3))


def test_older_versions_read_what_they_understand(tmp_path):
    """A folder without new entries has the older format, and its entries alone."""
    older = json.loads((unmask.save(conditioned(), tmp_path / "old") / CARD).read_text())
    assert older["format"] == "unmask-1"
    assert older["classes"] == 3
    assert not older.keys() & {"adapters", "attention", "spec", "text"}
    newer = json.loads((unmask.save(decoder(block=4), tmp_path / "new") / CARD).read_text())
    assert newer["format"] == "unmask-2"
    assert newer["adapters"] == [{"name": "Decoder", "block": 4}]


WRONG = {
    "unknown": (
        [{"name": "BlockCash"}],
        r"unknown adapter 'BlockCash': did you mean 'Block",
    ),
    "nameless": ([{"block": 4}], r"unknown adapter None"),
    "misspelt": ([{"name": "Decoder", "blok": 4}], r"Decoder has no option 'blok': did you mean"),
    "too many": (
        [{"name": "Decoder", "block": 4}, {"name": "BlockCache", "size": 1}],
        r"BlockCache has no option 'size': it takes none",
    ),
    "too few": ([{"name": "Decoder"}], r"is incomplete: Decoder has no 'block'"),
    "of a wrong type": ([{"name": "Decoder", "block": "four"}], r"block': 'four'.*does not fit"),
    "that do not fit": (
        [{"name": "Decoder", "block": None}, {"name": "BlockCache"}],
        r"BlockCache'\} does not fit a Decoder: this decoder has bidirectional attention",
    ),
    "outside": (
        [{"name": "Captured", "after": 2, "most": 4}, {"name": "Decoder", "block": 4}],
        r"has Decoder around another denoiser: it is the first of adapters",
    ),
    "no list": ({"name": "Decoder"}, r"adapters=.* is of a wrong type"),
}


@pytest.mark.parametrize("what", WRONG)
def test_adapters_that_cannot_be_made(what, tmp_path):
    entries, message = WRONG[what]
    folder = unmask.save(decoder(block=4), tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "adapters": entries}))
    with pytest.raises(CheckpointError, match=message):
        unmask.load(folder)


@pytest.mark.parametrize(
    "spec",
    [
        {"grid": [2]},
        {"grid": [0, 3]},
        {"end_id": "2"},
        {"end_id": 99},
        {"reserved": [-1]},
        {"x": 1},
    ],
    ids=str,
)
def test_a_wrong_spec_is_named(spec, tmp_path):
    folder = unmask.save(decoder(), tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "spec": spec}))
    with pytest.raises(CheckpointError, match=next(iter(spec))):
        unmask.load(folder)


def test_new_entries_in_the_older_format_are_refused(tmp_path):
    folder = unmask.save(decoder(), tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "format": "unmask-1"}))
    with pytest.raises(CheckpointError, match="unknown entry 'adapters'"):
        read_card(folder)


class Other(Forwarding):
    """A wrapper of somebody else."""

    def forward(self, query, cache):
        return self.inner.forward(query, cache)


class Mine(LlamaForCausalLM):
    """A network that transformers does not open."""


def foreign():
    net = decoder().net
    net.__class__ = Mine
    return Decoder(net, LAST)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Other(decoder()), "Other cannot be saved.*save the denoiser within it"),
        (
            lambda: Compiled(decoder(), backend=lambda g, _: g),
            "Compiled with backend=.*a name or a number",
        ),
        (foreign, "Mine is not a class that AutoModelForCausalLM opens"),
    ],
)
def test_what_cannot_be_saved_is_said_before_anything_is_written(make, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        unmask.save(make(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_wrapped_network_needs_its_net(tmp_path):
    folder = unmask.save(Captured(ADAPTERS["module"]()), tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"has the weights of a Net: make one and pass it"):
        unmask.load(folder)
    folder = unmask.save(decoder(), tmp_path / "decoder")
    with pytest.raises(CheckpointError, match="stores the network itself: leave net out"):
        unmask.load(folder, net=Net())
