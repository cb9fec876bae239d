"""Fine-tuning: a model that is opened, talks that it learns to answer, and a model that opens."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tests.families import networks as families
from tests.families.networks import FAMILIES
from tests.text.models import bert, byte_level, decoder
from tests.training.stops import Stop, stop_at
from tests.training.talks import END, EOT, MARKED, MASK, llada, talk, written

import unmask
from unmask.data import Vocabulary, read
from unmask.data.padding import BlockFill, EndFill, Excluded
from unmask.errors import CheckpointError, DataError, InputError, ModelError, StrategyError
from unmask.models.checkpoint import read_card
from unmask.training import Base, LoraOptions, Recipe, described, train
from unmask.training.adapters import add_adapters
from unmask.training.network import open_base
from unmask.training.trainer import latest
from unmask.training.within import trained_weights

ANSWERS = {"a": "one", "b": "two", "c": "three", "d": "four"}
QUICK = {"samples": 0, "held_out_rows": 0}


def talks(path, count=24):
    said = list(ANSWERS.items()) * (count // len(ANSWERS))
    return written(path, *({"messages": talk(*pair)} for pair in said))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("talks")
    llada(root / "llada")
    talks(root / "chat.jsonl")
    return root


@pytest.fixture
def base(folder):
    return Base(folder / "llada")


@pytest.fixture
def corpus(folder, base):
    return base.read(folder / "chat.jsonl")


def weights(model):
    return unmask.load(model).state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_corpus_of_talks(base, corpus):
    assert len(corpus.examples) == 24
    example = corpus.examples[0]
    learnt = example.tokens[example.maskable].tolist()
    assert base.beside.encoding.decode(learnt, special=True) == "one<|eot_id|>"
    assert corpus.vocabulary.mask_id == MASK
    assert corpus.vocabulary.eos_id == END
    assert "24 talks as 24 examples" in corpus.notes[0]


def test_answers_become_exact_and_the_bound_falls(folder, base, corpus, tmp_path):
    """A toy instruction set, from random weights; then the folder answers by itself."""
    seen = []
    recipe = Recipe(base=base.options, steps=100, learning_rate=1e-2, samples=2, held_out_rows=4)
    figures = train(corpus, tmp_path / "m", base=base, recipe=recipe, report=seen.append)
    bounds = [each.bound for each in seen if each.bound is not None]
    assert figures["bits_per_token"] < 0.3 < bounds[0]
    told = [each.texts for each in seen if each.texts]
    assert told[-1][0].split("\u2192 ")[1] in ANSWERS.values()
    files = sorted((tmp_path / "m.samples").glob("*.txt"))
    assert files[-1].read_text(encoding="utf-8").startswith("user")
    text = unmask.TextModel.load(tmp_path / "m")
    for asked, answer in ANSWERS.items():
        found = text.chat(talk(asked), max_new_tokens=12)
        assert (found.text, found.finish_reason) == (answer, "stop")
    assert text.end_ids == (END, EOT)
    own = unmask.TextModel.load(folder / "llada")
    assert text.encoding.backend.chat_template == own.encoding.backend.chat_template
    for field in ("mask_id", "end_id", "other_ends", "reserved", "recommended", "block_size"):
        assert getattr(text.denoiser.spec, field) == getattr(own.denoiser.spec, field), field


def test_the_card_says_what_the_model_was_made_from(base, corpus, tmp_path):
    recipe = Recipe(base=base.options, steps=1, **QUICK)
    train(corpus, tmp_path / "m", base=base, recipe=recipe)
    card = read_card(tmp_path / "m")
    assert card.about["base"]["model"] == base.name
    assert card.about["base"]["family"] == "llada"
    assert card.about["preset"]["name"] == "llada"
    assert card.training["padding"] == {"name": "end_of_sequence", "eos_id": END}
    again = Base(tmp_path / "m")  # and so on, with the same policy
    assert again.padding("auto") == EndFill(END)
    talks(tmp_path / "chat.jsonl")
    train(again.read(tmp_path / "chat.jsonl"), tmp_path / "n", base=again, recipe=replace(
        recipe, base=again.options))  # fmt: skip
    assert read_card(tmp_path / "n").about["base"]["base"]["model"] == base.name


def test_only_adapters_are_trained_and_they_are_merged_when_saved(base, corpus, tmp_path):
    """The logits of the folder are those of the network with adapters that are not merged."""
    recipe = Recipe(
        base=base.options, steps=4, learning_rate=0.1, lora=LoraOptions(rank=2), ema_decay=0.5,
        **QUICK,
    )  # fmt: skip
    with pytest.raises(Stop):
        train(corpus, tmp_path / "m", base=base, recipe=recipe, report=stop_at(4))
    checkpoint = latest(tmp_path / "m.training")
    from safetensors.torch import load_file

    names = load_file(checkpoint / "weights.safetensors").keys()
    assert names
    assert all("lora_" in name for name in names)
    averages = load_file(checkpoint / "ema.safetensors")
    assert {name.removeprefix("module.") for name in averages} == {
        *(name.removeprefix("denoiser.") for name in names), "n_averaged",
    }  # fmt: skip
    optimiser = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    assert len(optimiser["state"]) == len(names)

    network = open_base(base, recipe, seed=0)
    for name, weight in trained_weights(network).items():
        weight.data.copy_(averages[f"module.{name}"])
    tokens = corpus.examples[0].tokens[None]
    query = unmask.Query.of(tokens)
    with torch.no_grad():
        apart = network.eval().logits(network(query, None)[0])
        saved = unmask.load(checkpoint / "model")
        whole = saved.logits(saved(query, None)[0])
        first = unmask.load(base.name)
        before = first.logits(first(query, None)[0])
    torch.testing.assert_close(whole, apart, atol=1e-4, rtol=1e-5)
    assert float((before - whole).abs().max()) > 1e-2
    assert not any("lora" in name for name in saved.state_dict())


@pytest.mark.parametrize("rank", [0, 2])
def test_interrupted_and_resumed_is_bit_equal_and_extended(rank, base, corpus, tmp_path):
    recipe = Recipe(
        base=base.options, steps=6, learning_rate=1e-2, ema_decay=0.5, batch_size=8,
        lora=LoraOptions(rank=rank, dropout=0.1 if rank else 0.0), **QUICK,
    )  # fmt: skip
    how = {"base": base, "recipe": recipe}
    train(corpus, tmp_path / "whole", **how)
    with pytest.raises(Stop):
        train(corpus, tmp_path / "cut", report=stop_at(5), **how)
    assert latest(tmp_path / "cut.training").name == "checkpoint-4"
    with pytest.raises(CheckpointError, match="--resume"):
        train(corpus, tmp_path / "cut", **how)
    train(corpus, tmp_path / "cut", resume=True, **how)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    before = weights(tmp_path / "cut")
    train(corpus, tmp_path / "cut", resume=True, steps=8, **how)
    assert not same(before, weights(tmp_path / "cut"))
    assert read_card(tmp_path / "cut").about["recipe"]["steps"] == 8
    train(corpus, tmp_path / "cut", overwrite=True, **how)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_the_policy_of_the_family(base, tmp_path):
    assert base.padding("auto") == EndFill(END)
    assert base.padding("excluded") == Excluded()
    sdar = Base(decoder(tmp_path / "sdar", byte_level(), "sdar"))
    assert sdar.padding("auto") == BlockFill(0, sdar.block)
    assert Base(decoder(tmp_path / "dream", byte_level())).padding("auto") == Excluded()
    assert Base(bert(tmp_path / "bert")).padding("auto") == Excluded()


def test_rows_of_blocks_learn_all_answers_together(tmp_path):
    said = {"messages": talk("hi", "hello", "and?", "bye")}
    path = written(tmp_path / "chat.jsonl", said, said)
    sdar = Base(decoder(tmp_path / "sdar", byte_level(), "sdar"))
    assert len(sdar.read(path).examples) == 2
    apart = sdar.read(path, turns="each")
    assert len(apart.examples) == 4
    train_part, held = apart.split(0.5)  # by talk, not by answer
    assert (len(train_part.examples), len(held.examples)) == (2, 2)
    assert train_part.groups.tolist() != held.groups.tolist()
    recipe = Recipe(base=sdar.options, steps=2, batch_size=2, samples=1)
    train(sdar.read(path), tmp_path / "m", base=sdar, recipe=recipe)
    assert unmask.load(tmp_path / "m").spec.block_size == sdar.block


def test_marks_and_prefixes_give_one_model(folder, tmp_path):
    marked = Base(llada(tmp_path / "marked", MARKED))
    plain = Base(folder / "llada")
    one, other = (each.read(folder / "chat.jsonl").examples for each in (marked, plain))
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(one, other, strict=True))
    assert all(torch.equal(a.maskable, b.maskable) for a, b in zip(one, other, strict=True))


def test_text_pairs_and_other_models(tmp_path):
    """BERT with whole lines, [CLS] and [SEP] around them; a decoder with pairs; bytes again."""
    (tmp_path / "lines.txt").write_text("the cat sat\na dog ran on\n" * 6)
    own = Base(bert(tmp_path / "bert"))
    corpus = own.read(tmp_path / "lines.txt", documents=True)
    example = corpus.examples[0]
    assert example.maskable.tolist() == [False, *[True] * (len(example.tokens) - 2), False]
    assert example.tokens[[0, -1]].tolist() == [2, 3]
    recipe = Recipe(base=own.options, steps=2, batch_size=4, samples=2,
                    data=replace(Recipe().data, documents=True))  # fmt: skip
    train(corpus, tmp_path / "b", base=own, recipe=recipe)
    assert unmask.TextModel.load(tmp_path / "b").fill("the [MASK] sat")
    pairs = written(tmp_path / "pairs.jsonl", *[{"prompt": "the ", "completion": "cat"}] * 4)
    dream = Base(decoder(tmp_path / "dream", byte_level()))
    found = dream.read(pairs).examples[0]
    assert dream.beside.encoding.decode(found.tokens[found.maskable].tolist(), True) == "cat<|end|>"
    windows = dream.read(tmp_path / "lines.txt", length=32)
    assert (windows.stream, windows.longest) == (True, 32)
    train(
        windows, tmp_path / "w", base=dream, recipe=Recipe(base=dream.options, steps=1, samples=1)
    )
    tiny = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1}
    tiny |= {"num_attention_heads": 2, "intermediate_size": 16}
    recipe = Recipe(steps=1, backbone=tiny, **QUICK)
    train(read(tmp_path / "lines.txt", length=16), tmp_path / "bytes", recipe=recipe)
    more = Base(tmp_path / "bytes")
    assert more.vocabulary.kind == "bytes"
    train(more.read(tmp_path / "lines.txt", length=16), tmp_path / "more", base=more,
          recipe=Recipe(base=more.options, steps=1, **QUICK))  # fmt: skip
    assert unmask.load(tmp_path / "more").spec.vocab_size == 257


def test_layers_computed_twice_give_the_same_gradients(base, corpus):
    def gradients(again, rank):
        from unmask import objectives
        from unmask.training.model import MaskedModel

        recipe = Recipe(base=base.options, lora=LoraOptions(rank=rank))
        model = MaskedModel(open_base(base, recipe, 0), objectives.complementary)
        calls = []
        layer = model.denoiser.backbone.model.layers[0].self_attn
        layer.register_forward_hook(lambda *_: calls.append(1))
        if again:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs=None)
        model.train()
        rows = [corpus.examples[i] for i in range(4)]
        padded = EndFill(END)([e.tokens for e in rows], [e.maskable for e in rows])
        model(
            padded.tokens, padded.tokens.masked_fill(~padded.maskable, -100), padded.valid,
            torch.arange(4), torch.tensor([0.2, 0.4, 0.6, 0.8]),
        ).sum().backward()  # fmt: skip
        return len(calls), {k: p.grad for k, p in trained_weights(model).items()}

    for rank in (0, 2):
        (few, plain), (many, twice) = gradients(False, rank), gradients(True, rank)
        assert many == 2 * few
        assert plain.keys() == twice.keys()
        for name in plain:
            torch.testing.assert_close(plain[name], twice[name], atol=1e-6, rtol=1e-5)


def test_bfloat16_and_checkpointed_layers_in_a_run(base, corpus, tmp_path):
    recipe = Recipe(base=base.options, steps=2, precision="bfloat16",
                    gradient_checkpointing=True, lora=LoraOptions(rank=2), **QUICK)  # fmt: skip
    train(corpus, tmp_path / "m", base=base, recipe=recipe)
    assert unmask.load(tmp_path / "m").net.dtype == torch.float32
    half = Base(base.name, dtype="bfloat16")
    recipe = replace(recipe, base=half.options)
    train(corpus, tmp_path / "h", base=half, recipe=recipe)
    assert unmask.load(tmp_path / "h").net.dtype == torch.bfloat16


def test_settings_that_are_chosen_are_said(base, corpus):
    lines = described(corpus, Recipe(base=base.options, lora=LoraOptions(rank=8)), base)
    said = " ".join(lines)
    for words in (
        "LLaDA-8B Base, Instruct, 1.5", "adapters of rank 8 at all linear layers but the head",
        "learning rate 0.0002", "padding end_of_sequence", "goes on with id 126",
    ):  # fmt: skip
        assert words in said
    said = " ".join(described(corpus, Recipe(base=base.options), base))
    assert "learning rate 2e-05" in said
    assert "all weights, in float32" in said


def test_longer_talks_are_refused_left_out_or_cut(base, tmp_path):
    long = {"messages": talk("x" * 300, "one")}
    ends = {"messages": talk("x", "o" * 300)}
    short = {"messages": talk("a", "one")}
    path = written(tmp_path / "chat.jsonl", short, long, ends, short)
    told = r"2 of 4 examples have more than 256 tokens, the longest \d+ .*line 2.*leave_out"
    with pytest.raises(DataError, match=told):
        base.read(path)
    assert len(base.read(path, longer="leave_out").examples) == 2
    cut = base.read(path, longer="cut")
    assert len(cut.examples) == 3
    assert cut.longest == 256
    assert "1 of them left out" in " ".join(cut.notes)
    with pytest.raises(DataError, match="no other is left"):
        base.read(path, length=3, longer="cut")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lora": LoraOptions(rank=2, targets=("q_poj",))}, "did you mean 'q_proj'"),
        ({"backbone": {"model_type": "bert"}}, "beside base.model"),
        ({"data": replace(Recipe().data, tokenizer="x")}, "beside base.model"),
        ({"data": replace(Recipe().data, length=3)}, "data.length=3"),
    ],
)
def test_recipes_that_cannot_be(options, words, base, corpus, tmp_path):
    with pytest.raises(InputError) as error:
        train(corpus, tmp_path / "m", base=base, recipe=Recipe(steps=1, **options))
    assert words in str(error.value)
    assert not (tmp_path / "m").exists()


def test_other_bases_that_cannot_be(base, corpus, folder, tmp_path):
    with pytest.raises(StrategyError, match=r"lora.rank=4 without a model to train further"):
        train(corpus, tmp_path / "m", recipe=Recipe(lora=LoraOptions(rank=4)))
    with pytest.raises(StrategyError, match="trains a new network"):
        train("shidoku", tmp_path / "m", base=base)
    with pytest.raises(StrategyError, match="base='llada'"):
        train(corpus, tmp_path / "m", base="llada")
    half = Base(base.name, dtype="float16")
    with pytest.raises(StrategyError, match="gradients overflow"):
        train(corpus, tmp_path / "m", base=half, recipe=Recipe(base=half.options))
    (tmp_path / "a.txt").write_text("the cat sat\n" * 20)
    with pytest.raises(DataError, match=r"read it by the model, as in base.read"):
        train(read(tmp_path / "a.txt", length=8), tmp_path / "m", base=base)
    with pytest.raises(DataError, match="has none: pass another tokenizer"):
        Base(llada(tmp_path / "bare", None)).read(folder / "chat.jsonl")
    with pytest.raises(DataError, match="ids that are no text, and talks are text"):
        Base("shidoku").read(folder / "chat.jsonl")
    from tests.text.models import canvases

    with pytest.raises(ModelError, match="has no mask id"):
        Base(canvases(tmp_path / "gemma"))


def test_no_weight_is_read_before_training(folder, monkeypatch):
    from unmask.models import loading

    monkeypatch.setattr(loading, "open_pretrained", None)
    base = Base(folder / "llada")
    assert isinstance(base.vocabulary, Vocabulary)
    corpus = base.read(folder / "chat.jsonl")
    assert described(corpus, Recipe(base=base.options), base)
    assert json.dumps(base.described())


@pytest.mark.parametrize("name", FAMILIES)
def test_adapters_of_every_family_are_merged(name, tmp_path):
    """Logits of the folder are those of the network with adapters, and the network keeps them."""
    denoiser = families.load(name)
    tokens = FAMILIES[name].expected["ids"]
    query = unmask.Query.of(tokens)

    def logits(network):
        with torch.no_grad():
            return network.logits(network(query, None)[0])

    before = logits(denoiser)
    add_adapters(denoiser, LoraOptions(rank=2), seed=0)
    assert torch.equal(logits(denoiser.eval()), before)
    for weight in trained_weights(denoiser).values():
        weight.data.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    apart = logits(denoiser)
    again = unmask.load(unmask.save(denoiser, tmp_path / "m"))
    torch.testing.assert_close(logits(again), apart, atol=1e-4, rtol=1e-4)
    assert torch.equal(logits(denoiser), apart)
    assert float((before - apart).abs().max()) > 1e-2
    state = again.state_dict()
    assert not any("lora" in key or "base_layer" in key for key in state)
