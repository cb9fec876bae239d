"""Left-to-right models as text models: mask tokens, files, and what is refused before the work."""

import json
import shutil

import pytest
import torch
import transformers
from tests.text.models import bert, byte_fallback, byte_level, causal, decoder, wordpiece

import unmask
from unmask import presets
from unmask.errors import ArgumentError, CheckpointError, InputError, ModelError
from unmask.models import BlockCache, Decoder

OWN = byte_level(mask=False)
WORDS = len(OWN)
GROWS = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
TALK = [{"role": "user", "content": "the cat"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A left-to-right model without room for an id."""
    return causal(tmp_path_factory.mktemp("causal"), OWN)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """One with room, as Qwen3 has."""
    return causal(tmp_path_factory.mktemp("roomy"), OWN, room=8)


@pytest.fixture(scope="module")
def model(folder):
    return unmask.convert(folder)


def vocabulary(model):
    return model.encoding.backend.get_vocab()


def test_a_mask_token_is_added(model, folder):
    assert (model.encoding.mask_id, model.encoding.mask_token) == (WORDS, "<|mask|>")
    assert model.denoiser.spec.vocab_size == WORDS + 1
    assert isinstance(model.denoiser, Decoder)
    assert (model.denoiser.block, model.denoiser.logit_shift) == (None, True)
    assert model.encoding.encode("the <|mask|>") != model.encoding.encode("the <|mask|>", True)
    assert model.encoding.encode("the <|mask|>", True)[-1] == WORDS
    assert model.end_ids == (OWN.eos_token_id,)
    assert model.template == {"enable_thinking": False}  # of Qwen3 alone
    again = transformers.AutoTokenizer.from_pretrained(folder)
    assert again.mask_token is None, "the files are as they were"


def test_where_there_is_room_nothing_is_resized(roomy):
    model = unmask.convert(roomy)
    assert model.encoding.mask_id == WORDS
    assert model.denoiser.spec.vocab_size == WORDS + 8
    net = transformers.AutoModelForCausalLM.from_pretrained(roomy)
    place = net.get_input_embeddings().weight.data_ptr()
    model = unmask.convert(net, tokenizer=OWN)
    assert model.denoiser.net is net
    assert net.get_input_embeddings().weight.data_ptr() == place
    assert OWN.mask_token is None, "the tokenizer that was passed is as it was"


@pytest.mark.parametrize("block", [None, 4])
@pytest.mark.parametrize("shift", [True, False])
def test_all_of_it_is_kept_in_a_folder(folder, tmp_path, block, shift):
    strategy = presets.random_order(steps=8)
    model = unmask.convert(folder, block=block, logit_shift=shift, strategy=strategy)
    assert (model.denoiser.block, model.denoiser.logit_shift) == (block, shift)
    saved = model.save(tmp_path / "saved")
    saved.rename(tmp_path / "moved")
    again = unmask.TextModel.load(tmp_path / "moved")
    for name in ("block", "logit_shift", "spec"):
        assert getattr(again.denoiser, name) == getattr(model.denoiser, name)
    for name in ("end_id", "other_ends", "reserved", "recommended"):
        assert getattr(again.denoiser.spec, name) == getattr(model.denoiser.spec, name)
    for name in ("end_ids", "template", "strategy"):
        assert getattr(again, name) == getattr(model, name)
    assert (again.encoding.mask_id, again.encoding.mask_token) == (WORDS, "<|mask|>")
    assert again.encoding.special == model.encoding.special
    assert vocabulary(again) == vocabulary(model)
    for each in (model, again):
        each.said = [
            each.complete(["the cat", "on a"], 8, seed=1),
            each.infill("the cat", "the mat", tokens=3, seed=3),
            each.fill("the [MASK] sat <|mask|>", top_k=3),
            each.chat(TALK, 8, seed=1),
            each.score("sat on", given="the cat").nats_per_token,
            each.complete("the", 8, regex="[a-z ]{5}", seed=2).text,
            [state.snapshot for state in each.stream("the", 8, seed=1)],
        ]
    assert again.said == model.said


def test_its_blocks_may_be_cached(folder):
    model = unmask.convert(folder, block=4)
    plan = presets.sdar(block=4, steps=4, threshold=None, temperature=0.0)
    cached = unmask.TextModel(BlockCache(model.denoiser), model.encoding, end_ids=model.end_ids)
    ours, theirs = (each.complete("the cat", 8, seed=1, strategy=plan) for each in (model, cached))
    assert ours.tokens == theirs.tokens


def test_it_is_trained_and_learns(model):
    denoiser = unmask.convert(causal_net(), tokenizer=OWN).denoiser.train()
    tokens = torch.tensor([model.encoding.encode("the cat sat on the mat")])
    whole = torch.ones_like(tokens, dtype=torch.bool)
    optimizer = torch.optim.Adam(denoiser.parameters(), 3e-3)
    losses = []
    for step in range(30):
        denoiser.open_share = min(1.0, (step + 1) / 15)
        loss = unmask.objectives.complementary(denoiser, tokens, whole, step).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < sum(losses[:5]) / 2


def causal_net(**options):
    config = transformers.Qwen3Config(
        vocab_size=WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=32, head_dim=16, max_position_embeddings=64,
        **options,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.Qwen3ForCausalLM(config).eval()


@pytest.mark.parametrize("tokenizer", [byte_level, byte_fallback])
def test_a_mask_token_of_its_own_is_taken(tokenizer, tmp_path):
    own = tokenizer()
    model = unmask.convert(causal(tmp_path / "causal", own))
    assert (model.encoding.mask_id, model.encoding.mask_token) == (
        own.mask_token_id,
        own.mask_token,
    )
    assert model.denoiser.spec.vocab_size == len(own)


def test_a_token_that_stands_for_nothing_is_taken(tmp_path):
    own = byte_level(mask=False)
    own.add_special_tokens({"additional_special_tokens": ["<|reserved_0|>"]})
    own.add_tokens(["<|fim_pad|>"])  # no special one, as of Qwen
    where = causal(tmp_path / "causal", own)
    for name in ("<|reserved_0|>", "<|fim_pad|>"):
        number = own.convert_tokens_to_ids(name)
        both = {"mask_token": name, "mask_id": number}
        for asked in ({"mask_token": name}, {"mask_id": number}, both):
            model = unmask.convert(where, **asked)
            assert (model.encoding.mask_id, model.encoding.mask_token) == (number, name)
            assert model.denoiser.spec.vocab_size == len(own)
            assert number in model.encoding.special
            again = unmask.TextModel.load(model.save(tmp_path / "saved"))
            assert again.encoding.mask_token == name
            assert again.fill("the [MASK] sat") == model.fill(f"the {name} sat")


def test_an_id_without_a_token_is_taken(roomy, tmp_path):
    model = unmask.convert(roomy, mask_id=WORDS + 5)
    assert (model.encoding.mask_id, model.encoding.mask_token) == (None, None)
    assert model.denoiser.spec.mask_id == WORDS + 5
    again = unmask.TextModel.load(model.save(tmp_path / "saved"))
    assert again.denoiser.spec.mask_id == WORDS + 5
    assert again.fill("the [MASK] sat") == model.fill("the [MASK] sat")
    assert again.complete("the", 8, seed=1) == model.complete("the", 8, seed=1)


def test_a_new_name_is_taken(folder):
    model = unmask.convert(folder, mask_token="<blank>")
    assert (model.encoding.mask_id, model.encoding.mask_token) == (WORDS, "<blank>")


WRONG = {
    "a word": ({"mask_token": "a"}, "'a', id [0-9]+, is an ordinary word.*<.mask.> is added"),
    "the id of a word": ({"mask_id": 70}, "id 70, is an ordinary word"),
    "the end": ({"mask_token": "<|end|>"}, "'<.end.>', id 0, is in use already"),
    "the id of the end": ({"mask_id": 0}, "is in use already"),
    "of the template": ({"mask_token": "<|assistant|>"}, "in use already.*chat template"),
    "two that differ": ({"mask_token": "<|end|>", "mask_id": 1}, r"mask_id=1, where .*pass one"),
    "an id of none": ({"mask_id": WORDS + 9}, f"none of the {WORDS} ids.*leave mask_id out"),
    "a negative id": ({"mask_id": -1}, "mask_id=-1: pass an id"),
    "no id": ({"mask_id": "<|mask|>"}, "mask_id='<.mask.>': pass an id"),
    "no name": ({"mask_token": " "}, "mask_token=' ': pass the name"),
    "a number as a name": ({"mask_token": 7}, "mask_token=7: pass the name"),
    "no block": ({"block": 0}, "block=0: pass an integer of 1 or more"),
    "half a shift": ({"logit_shift": 0.5}, "logit_shift=0.5: pass True or False"),
    "no strategy": ({"strategy": "llada"}, "strategy"),
    "a tokenizer of another": ({"tokenizer": "short"}, "it is of another model"),
    "a longer tokenizer": ({"tokenizer": "long"}, "it is of another model"),
    "no tokenizer": ({"tokenizer": 3}, "pass a tokenizer of transformers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_asked_for_is_refused_before_weights_are_read(what, folder, tmp_path):
    options, words = WRONG[what]
    without = tmp_path / "without"
    shutil.copytree(folder, without)
    (without / "model.safetensors").unlink()
    if options.get("tokenizer") == "short":
        options = {"tokenizer": wordpiece()}
    elif options.get("tokenizer") == "long":
        longer = byte_level(mask=False)
        longer.add_tokens(["more", "words"])
        options = {"tokenizer": longer}
    with pytest.raises(InputError, match=words):
        unmask.convert(without, **options)


def test_a_misspelt_option_is_named(folder):
    with pytest.raises(ArgumentError, match="did you mean 'logit_shift'"):
        unmask.convert(folder, logit_shft=True)
    with pytest.raises(ArgumentError, match="did you mean 'revision'"):
        unmask.convert(folder, revsion="main")


def test_files_of_masked_models_and_others_are_refused(tmp_path, model, folder):
    dream = decoder(tmp_path / "dream", byte_level())
    with pytest.raises(ModelError, match=r"Dream-7B.*masked already.*unmask train --from"):
        unmask.convert(dream)
    with pytest.raises(ModelError, match=r"BertForMaskedLM, an encoder.*--from"):
        unmask.convert(bert(tmp_path / "bert"))
    with pytest.raises(ModelError, match=r"folder of unmask\.save, and masked already.*--from"):
        unmask.convert(model.save(tmp_path / "saved"))
    with pytest.raises(ModelError, match=r"masked already"):
        unmask.convert("digits")
    with pytest.raises(CheckpointError, match="neither a bundled model nor a folder"):
        unmask.convert(tmp_path / "nowhere")
    config = json.loads((folder / "config.json").read_text())
    cases = (
        ({"model_type": "t5", "is_encoder_decoder": True}, "an encoder with a decoder"),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "no left-to-right model of text"),
        ({"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 0}, "of 16"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
            "dynamic",
        ),
    )
    for number, (changed, words) in enumerate(cases):
        other = tmp_path / str(number)
        other.mkdir()
        written = {**config, **changed}
        written.pop("layer_types", None)
        (other / "config.json").write_text(json.dumps(written))
        with pytest.raises(ModelError, match=words):
            unmask.convert(other)


def test_options_of_files_are_read(folder):
    model = unmask.convert(folder, dtype=torch.bfloat16, attn_implementation="eager")
    assert model.denoiser.backbone.dtype == torch.bfloat16
    assert model.denoiser.backbone.config._attn_implementation == "eager"
    with pytest.raises(ModelError, match=r"dtype=.* is of reading files"):
        unmask.convert(causal_net(), tokenizer=OWN, dtype=torch.bfloat16)
    with pytest.raises(ModelError, match=r"Qwen3ForCausalLM comes without a tokenizer"):
        unmask.convert(causal_net())


def test_weights_that_are_missing_are_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "without")
    (tmp_path / "without" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be opened by Qwen3ForCausalLM"):
        unmask.convert(tmp_path / "without")
