"""`unmask.load` of published families: logits, cards, runs of all in one engine, caches, files."""

import json
import shutil

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.families import test_presets as single
from tests.families.networks import DATA, FAMILIES, MASK, load
from tests.families.test_logits import BLOCKS, CASES, CLOSE

import unmask
from unmask import Canvas, Query
from unmask.engine import default_strategy
from unmask.errors import CheckpointError, ModelError
from unmask.models import BlockCache, ReusedCache, Tally
from unmask.models.families import CATALOGUE
from unmask.presets.by_name import build_recommended


def logits(denoiser, tokens, valid=None):
    """(B,N,V), where the network has them: before a shift."""
    denoiser.logit_shift = False
    with torch.no_grad():
        return denoiser.logits(denoiser.forward(Query.of(tokens, valid), None)[0])


@pytest.mark.parametrize(("name", "which"), CASES)
def test_logits(name, which):
    expected = FAMILIES[name].expected
    denoiser = load(name, block=BLOCKS[which]) if BLOCKS[which] else load(name)
    assert type(denoiser.backbone).__name__ == f"{FAMILIES[name].stock}ForCausalLM"
    torch.testing.assert_close(logits(denoiser, expected["ids"]), expected[which], **CLOSE)


def test_logits_beside_padding():
    expected = FAMILIES["a2d_qwen3"].expected
    valid = expected["valid"].bool()
    found = logits(load("a2d_qwen3"), expected["ids"], valid)
    torch.testing.assert_close(found[valid], expected["logits_padded"][valid], **CLOSE)


RECOMMENDED = {
    "llada": {"name": "llada", "steps": 128, "block": 128},
    "llada_moe": {"name": "llada", "steps": 32, "block": 32},
    "llada2_moe": {"name": "llada2", "steps": 8, "block": 8},
    "dream": {"name": "dream", "algorithm": "entropy", "temperature": 0.2, "top_p": 0.95},
    "sdar": {"name": "sdar", "steps": 4, "block": 4},
    "a2d_qwen3": {"name": "llada", "steps": 64, "block": 64},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_card(name):
    spec = load(name).spec
    end = FAMILIES[name].config["eos_token_id"]
    assert (spec.mask_id, spec.end_id, spec.max_length) == (MASK, end, 256)
    assert spec.recommended == RECOMMENDED[name]
    assert load(name).logit_shift == FAMILIES[name].shift
    strategy = default_strategy(load(name))
    assert strategy.end_id == end
    assert unmask.generate(load(name), batch_size=2, length=16, seed=0).shape == (2, 16)


def test_every_row_of_the_catalogue_has_a_preset_that_can_be_built():
    for row in CATALOGUE:
        for block in {row.default_block, 8}:
            build_recommended(row.recommended(block), instead="-")
    assert len({row.name for row in CATALOGUE}) == len(CATALOGUE)


# The authors' loops, all of a family in one engine.


def runs(name):
    """(canvas, strategy, expected tokens, positions that are compared) of each run."""
    for run in FAMILIES[name].runs:
        options, prompt = run.options, run.prompt
        length = options.get("gen_length") or options["max_new_tokens"]
        output, begin = run.output, len(prompt)
        if name.startswith("llada") and name != "llada2_moe":
            strategy = single.llada(options)
        elif name == "dream":
            strategy = single.dream(options)
        elif name == "sdar":
            static = options["remasking_strategy"] == "low_confidence_static"
            prompt, length = single.sdar_prompt(run), single.whole_blocks(run)
            length -= len(prompt) - len(run.prompt)
            strategy = single.sdar(run, None if static else options["confidence_threshold"])
            if static:
                strategy = strategy.but(order=single.Ties(options["denoising_steps"]))
        else:
            length = single.whole_blocks(run)
            names = ("threshold", "block_length", "steps")
            strategy = unmask.presets.llada2(*(options[name] for name in names))
            output = torch.cat([prompt, output])
        tokens = torch.cat([prompt, torch.zeros(length, dtype=torch.int64)])[None]
        canvas = Canvas.infill(tokens, torch.arange(tokens.shape[1])[None] >= len(prompt))
        yield canvas, strategy, output, begin


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].runs])
@pytest.mark.parametrize("cached", [False, True])
def test_all_runs_in_one_engine(name, cached):
    """Rows of unequal prompts and strategies share forwards, and are the authors' tokens."""
    denoiser = load(name)
    if cached and FAMILIES[name].block is None:
        pytest.skip("an exact cache needs block-causal attention")
    if cached:
        denoiser = BlockCache(denoiser)
    engine, expected, found = unmask.Engine(denoiser), {}, {}
    for canvas, strategy, output, begin in runs(name):
        (number,) = engine.submit(canvas, strategy, [0]).tolist()
        expected[number] = output[begin:].tolist(), begin
    while len(found) < len(expected):
        for event in engine.step():
            found.update({row: result.tokens[0] for row, result in event.results()})
    for number, (tokens, begin) in expected.items():
        assert found[number][begin:][: len(tokens)].tolist() == tokens


def unknown(given, length):
    """One row with some ids given."""
    tokens = torch.cat([torch.arange(given), torch.zeros(length - given, dtype=torch.int64)])
    return Canvas.infill(tokens[None], torch.arange(length)[None] >= given)


@pytest.mark.parametrize("name", ["sdar", "llada2_moe", "a2d_qwen3"])
def test_an_exact_cache_computes_a_block_at_a_step(name):
    """Blocks of 8 in 4 steps: the prompt once, 8 positions a step, and each finished block again.

    Once more, that is, with its last tokens, when the next one begins.
    """
    plain = load(name, block=8)
    cached, canvas = BlockCache(plain), unknown(8, 32)
    strategy = unmask.presets.sdar(None, 8, 4, temperature=0.0)
    found = unmask.run(cached, canvas, strategy, seed=0)
    assert found.tokens.tolist() == unmask.generate(plain, canvas, strategy, seed=0).tolist()
    assert found.forwards.tolist() == [12]  # three blocks of four steps
    assert cached.tally == Tally(passes=12, queries=8 + 12 * 8 + 2 * 8)


@pytest.mark.parametrize("name", ["llada", "llada_moe", "dream", "a2d_qwen3"])
def test_a_reused_cache_computes_what_follows_its_prefix(name):
    """All 32 at the first step of a block; from the block on at the three others."""
    cached = ReusedCache(load(name), block=8)
    strategy = unmask.presets.llada(4, 8).but(groups=unmask.Groups.blocks(8))
    found = unmask.run(cached, unknown(8, 32), strategy, seed=0)
    assert found.forwards.tolist() == [12]
    assert cached.tally == Tally(passes=12, queries=3 * 32 + 3 * (24 + 16 + 8))


# Files.


def copied(name, folder, **changed):
    """A copy of a checkpoint, with entries of its config changed."""
    shutil.copytree(DATA / name, folder)
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changed}))
    return folder


def shards(folder, parts):
    """Write weights as two files with an index."""
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, part in zip(names, parts, strict=True):
        save_file(part, folder / name, metadata={"format": "pt"})
    where = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def halves(name):
    weights = load_file(DATA / name / "model.safetensors")
    keys = sorted(weights)
    return [{key: weights[key] for key in part} for part in (keys[::2], keys[1::2])]


@pytest.mark.parametrize("name", ["llada", "llada2_moe"])
def test_shards(name, tmp_path):
    folder = copied(name, tmp_path / "model")
    shards(folder, halves(name))
    options = FAMILIES[name].unsaid
    which = next(each for each in BLOCKS if each in FAMILIES[name].expected)
    found = logits(unmask.load(folder, **options), FAMILIES[name].expected["ids"])
    torch.testing.assert_close(found, FAMILIES[name].expected[which], **CLOSE)


def test_a_shard_cut_short(tmp_path):
    folder = copied("llada", tmp_path / "model")
    shards(folder, halves("llada"))
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cannot be opened by LlamaForCausalLM"):
        unmask.load(folder)


def test_shards_of_two_models(tmp_path):
    folder = copied("sdar", tmp_path / "model")
    shards(folder, [halves("sdar")[0], halves("llada")[1]])
    with pytest.raises(CheckpointError, match=r"weights are missing in Qwen3ForCausalLM, such as"):
        unmask.load(folder)


def test_weights_beside_those_of_the_network(tmp_path):
    folder = copied("sdar", tmp_path / "model")
    shards(folder, [load_file(DATA / "sdar" / "model.safetensors"), {"model.more": torch.ones(2)}])
    with pytest.raises(CheckpointError, match=r"1 weights are unexpected .* model\.more"):
        unmask.load(folder)


def test_weights_of_another_shape(tmp_path):
    folder = copied("sdar", tmp_path / "model", intermediate_size=32)
    with pytest.raises(CheckpointError, match="cannot be opened by Qwen3ForCausalLM"):
        unmask.load(folder)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_is_saved_under_the_stock_names(name, tmp_path):
    """transformers alone opens it, and nothing of the authors' code is named in it."""
    denoiser = load(name)
    denoiser.backbone.save_pretrained(tmp_path)
    again = type(denoiser.backbone).from_pretrained(tmp_path)
    for key, weight in denoiser.backbone.state_dict().items():
        assert again.state_dict()[key].equal(weight)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [f"{FAMILIES[name].stock}ForCausalLM"]
    assert "auto_map" not in config


def test_options_of_from_pretrained():
    denoiser = load("llada", dtype=torch.bfloat16, attn_implementation="eager", device_map="cpu")
    assert denoiser.backbone.dtype == torch.bfloat16
    assert denoiser.backbone.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("name", "changed", "options", "told"),
    [
        ("llada", {"alibi": True}, {}, "not as LLaDA-8B.*alibi=True; the stock class .* False"),
        ("llada", {"d_model": None}, {}, "is not as|cannot be opened"),
        ("llada", {"mask_token_id": None}, {}, "names no mask token: pass mask_id="),
        ("llada", {}, {"mask_id": 130}, "mask_id=130 is outside the vocabulary of 130"),
        ("llada", {}, {"mask_id": "129"}, "mask_id='129': pass an id"),
        ("llada", {}, {"block": 0}, "block=0: pass an integer of 1 or more"),
        ("llada", {}, {"family": "lada"}, "family='lada': did you mean 'llada'"),
        ("llada", {}, {"net": torch.nn.Identity()}, "net=.* a model of transformers"),
        ("llada", {"model_type": "lada"}, {}, "code of its authors.*trust_remote_code=True"),
        ("llada", {"model_type": "x", "auto_map": {}}, {}, "in no family of the catalogue"),
        ("sdar", {"model_type": "qwen3"}, {}, r"left-to-right model.*family='sdar'"),
        ("sdar", {"model_type": "bert"}, {"block": 4}, "block=4: BertForMaskedLM attends to all"),
        ("llada_moe", {"moe_layer_freq": [0, 1]}, {"mask_id": 3}, "layers without experts"),
        ("llada", {"architectures": {"a": 1}}, {}, "architectures=.*, which is a list of names"),
        ("llada", {"model_type": ["llada"]}, {}, "model_type=.*, which is a name in models"),
        ("sdar", {"text_config": [1]}, {}, "text_config=.*, which is an object in models"),
        ("llada", {"eos_token_id": "</s>"}, {}, "config.json has eos_token_id='</s>', which is an"),
        ("llada", {"eos_token_id": [None]}, {}, r"eos_token_id=\[None\], which is an id, or a"),
        (
            "sdar",
            {},
            {"family": "llada"},
            "config.json has no entry 'n_heads'. family='llada' was asked for, .*of model_type "
            "'llada', and config.json has model_type='sdar', architectures=.'SDARForCausalLM'.: "
            "leave family= .--family. out",
        ),
        ("sdar", {}, {"family": "dream"}, "in Qwen2ForCausalLM, such as .*'dream' was asked for"),
    ],
)
def test_models_that_are_refused(name, changed, options, told, tmp_path, capfd):
    folder = copied(name, tmp_path / "model", **changed)
    with pytest.raises((CheckpointError, ModelError), match=told):
        unmask.load(folder, **options)
    assert "LOAD REPORT" not in capfd.readouterr().err  # of transformers: the error says it


def test_a_family_that_the_files_do_not_name(tmp_path):
    folder = copied(
        "sdar", tmp_path / "model", model_type="qwen3", architectures=["Qwen3ForCausalLM"]
    )
    expected = FAMILIES["sdar"].expected
    found = logits(unmask.load(folder, family="sdar"), expected["ids"])
    torch.testing.assert_close(found, expected["logits_block4"], **CLOSE)


def test_options_that_do_not_apply_to_a_saved_model():
    with pytest.raises(ModelError, match="mask_id=3: digits is a folder"):
        unmask.load("digits", mask_id=3)
    with pytest.raises(ModelError, match="revision='main'"):
        unmask.load("digits", revision="main")
    with pytest.raises(TypeError, match="mask_id"):
        unmask.load("digits", maskid=3)


def test_a_repository_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        CheckpointError, match="'no-one/nothing' is no folder here, and cannot be opened"
    ):
        unmask.load("no-one/nothing")


# Other models of transformers.


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "mat", "on", "a", "dog"]


def bert(folder, **changed):
    """A tiny BERT with the tokenizer of a few words."""
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokens = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"
        )
    )
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, **{**roles, "mask_token": "[MASK]", **changed}
    )
    own.save_pretrained(folder)
    return folder


def test_a_masked_language_model(tmp_path):
    """The mask id is the tokenizer's; its other special tokens are not drawn by default."""
    opened = unmask.load(bert(tmp_path))
    assert type(opened.backbone) is transformers.BertForMaskedLM
    assert not opened.training
    assert (opened.spec.mask_id, opened.spec.reserved) == (4, (0, 1, 2, 3))
    drawn = unmask.generate(opened, batch_size=200, length=8, seed=0)
    assert drawn.min() >= 5
    free = unmask.generate(opened, batch_size=200, length=8, strategy=unmask.presets.random_order())
    assert drawn.unique().tolist() == list(range(5, 12))
    assert {0, 1, 2, 3} <= set(free.unique().tolist())


def test_a_tokenizer_without_a_mask_token(tmp_path):
    with pytest.raises(ModelError, match="names no mask token"):
        unmask.load(bert(tmp_path, mask_token=None))


CODE = """
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

class OddConfig(PreTrainedConfig):
    model_type = "odd"
    def __init__(self, vocab_size=9, **others):
        self.vocab_size = vocab_size
        super().__init__(**others)

class OddModel(PreTrainedModel):
    config_class = OddConfig
    def __init__(self, config):
        super().__init__(config)
        self.table = nn.Embedding(config.vocab_size, config.vocab_size)
        self.post_init()
    def forward(self, input_ids, timesteps):
        assert not timesteps.any() and timesteps.shape == (len(input_ids),)
        logits = self.table(input_ids).cumsum(1).flip(1)
        return MaskedLMOutput(logits=logits)
"""


def test_code_of_a_model_s_authors_runs_only_if_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache")
    )
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "odd.py").write_text(CODE)
    auto = {"AutoConfig": "odd.OddConfig", "AutoModelForMaskedLM": "odd.OddModel"}
    config = {"model_type": "odd", "vocab_size": 9, "auto_map": auto, "transformers_version": "4.1"}
    (folder / "config.json").write_text(json.dumps(config))
    table = torch.randn(9, 9)
    save_file({"table.weight": table}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"code of its authors.*trust_remote_code=True"):
        unmask.load(folder, mask_id=8)
    opened = unmask.load(folder, mask_id=8, trust_remote_code=True)
    tokens = torch.tensor([[1, 8, 3]])
    torch.testing.assert_close(logits(opened, tokens), table[tokens].cumsum(1).flip(1))
    (folder / "odd.py").write_text(CODE.replace("nn.Embedding", "nn.Embeding"))
    with pytest.raises(CheckpointError, match=r"nn.*Embeding.*used transformers 4\.1; this is"):
        unmask.load(folder, mask_id=8, trust_remote_code=True)
