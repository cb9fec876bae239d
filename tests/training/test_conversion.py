"""Left-to-right models, and models of blocks, trained further: objective, conversion, packing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.text.models import byte_level, causal, decoder
from tests.training.stops import Stop, stop_at
from tests.training.talks import llada, talk, written

import unmask
from unmask import objectives
from unmask.errors import CheckpointError, ModelError, StrategyError
from unmask.models.checkpoint import read_card
from unmask.training import Base, LoraOptions, Recipe, described, train
from unmask.training.network import open_base
from unmask.training.recipe import BaseOptions
from unmask.training.trainer import latest
from unmask.training.within import trained_weights

OWN = byte_level(mask=False)
MASK = len(OWN)  # the id of the token that is added
QUICK = {"samples": 0, "held_out_rows": 0}


def pairs(path, count=12):
    said = [{"prompt": f"the {i % 3} ", "completion": "cat" * (i % 4 + 1)} for i in range(count)]
    return written(path, *said)


def test_blocks_are_learnt_by_their_own_objective(tmp_path):
    """It is chosen by the base, said, used, and in the card; another one may be asked for."""
    sdar = Base(decoder(tmp_path / "sdar", byte_level(), "sdar"))
    corpus = sdar.read(pairs(tmp_path / "pairs.jsonl"))
    recipe = Recipe(base=sdar.options, steps=2, batch_size=4, **QUICK)
    told = " ".join(described(corpus, recipe, sdar))
    assert "objective block_diffusion" in told
    assert "for a whole row" not in told
    train(corpus, tmp_path / "m", base=sdar, recipe=recipe)
    card = read_card(tmp_path / "m")
    assert card.training["objective"] == "block_diffusion"
    assert card.about["recipe"]["objective"] == "block_diffusion"
    asked = replace(recipe, objective="complementary")
    assert "for a whole row" in " ".join(described(corpus, asked, sdar))
    train(corpus, tmp_path / "n", base=sdar, recipe=asked)
    assert read_card(tmp_path / "n").training["objective"] == "complementary"
    mine, other = (unmask.load(tmp_path / name).state_dict() for name in "mn")
    assert not all(torch.equal(mine[key], other[key]) for key in mine)


def test_other_networks_are_learnt_by_complementary_masks(tmp_path):
    assert Recipe().objective is None
    assert Recipe().settled().loss().func is objectives.complementary
    base = Base(llada(tmp_path / "llada"))
    path = written(tmp_path / "chat.jsonl", *[{"messages": talk("a", "one")}] * 4)
    told = described(base.read(path), Recipe(base=base.options), base)
    assert "objective complementary" in " ".join(told)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A left-to-right model without room for a mask token, pairs, talks and text."""
    root = tmp_path_factory.mktemp("left")
    causal(root / "left", OWN)
    pairs(root / "pairs.jsonl")
    said = [{"messages": talk(f"the {i % 3}", "cat" * (i % 4 + 1))} for i in range(12)]
    written(root / "chat.jsonl", *said)
    (root / "lines.txt").write_text("the cat sat on the mat\n" * 40)
    return root


def weights(model):
    return unmask.load(model).state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(("block", "shift"), [(None, None), (4, None), (4, False)])
def test_what_is_opened_is_what_convert_makes(folder, block, shift):
    """Weights, ids, ends and template; all but the weights is known before they are read."""
    base = Base(folder / "left", convert=True, block=block, logit_shift=shift)
    assert (base.mask_id, base.size, base.block) == (MASK, MASK + 1, block)
    ours = open_base(base, Recipe(base=base.options), 0)
    theirs = unmask.convert(folder / "left", block=block, logit_shift=shift is not False)
    assert same(ours.state_dict(), theirs.denoiser.state_dict())
    assert ours.spec == theirs.denoiser.spec
    assert (ours.block, ours.logit_shift) == (block, shift is not False)
    assert base.beside.end_ids == theirs.end_ids
    assert base.beside.template == theirs.template
    assert base.beside.encoding.mask_token == theirs.encoding.mask_token
    assert base.preset == ours.spec.recommended


@pytest.mark.parametrize("data", ["pairs.jsonl", "chat.jsonl", "lines.txt"])
@pytest.mark.parametrize("block", [None, 4])
def test_a_converted_model_is_trained_and_opens_by_itself(folder, tmp_path, data, block):
    base = Base(folder / "left", convert=True, block=block)
    corpus = base.read(folder / data)
    assert corpus.vocabulary.mask_id == MASK
    recipe = Recipe(base=base.options, steps=2, batch_size=4, samples=1, anneal_steps=2)
    train(corpus, tmp_path / "m", base=base, recipe=recipe)
    text = unmask.TextModel.load(tmp_path / "m")
    made = unmask.convert(folder / "left", block=block)
    assert (text.encoding.mask_id, text.encoding.mask_token) == (MASK, "<|mask|>")
    assert (text.denoiser.block, text.denoiser.logit_shift) == (block, True)
    assert text.denoiser.open_share == 1.0
    assert (text.end_ids, text.template) == (made.end_ids, made.template)
    assert text.encoding.backend.get_vocab() == made.encoding.backend.get_vocab()
    assert text.denoiser.spec.reserved == made.denoiser.spec.reserved
    assert not same(text.denoiser.state_dict(), made.denoiser.state_dict())
    card = read_card(tmp_path / "m")
    assert card.about["base"] == {
        "model": base.name, "converted": {"block": block, "logit_shift": True},
    }  # fmt: skip
    usual = "complementary" if block is None else "block_diffusion"
    assert card.training["objective"] == usual
    again = Base(tmp_path / "m")  # a masked model now
    assert (again.mask_id, again.block) == (MASK, block)
    train(again.read(folder / data), tmp_path / "n", base=again, recipe=replace(
        recipe, base=again.options, anneal_steps=0, samples=0))  # fmt: skip


def test_answers_become_exact_from_a_left_to_right_model(folder, tmp_path):
    answers = {"a": "one", "b": "two", "c": "three", "d": "four"}
    said = [{"messages": talk(*pair)} for pair in list(answers.items()) * 6]
    path = written(tmp_path / "chat.jsonl", *said)
    base = Base(folder / "left", convert=True, block=8)
    recipe = Recipe(
        base=base.options, steps=100, learning_rate=1e-2, anneal_steps=20, samples=0,
        held_out_rows=4,
    )  # fmt: skip
    seen = []
    train(base.read(path), tmp_path / "m", base=base, recipe=recipe, report=seen.append)
    bounds = [each.bound for each in seen if each.bound is not None]
    assert bounds[-1] < 0.3 < bounds[0]
    text = unmask.TextModel.load(tmp_path / "m")
    for asked, answer in answers.items():
        found = text.chat(talk(asked), max_new_tokens=16)
        assert (found.text, found.finish_reason) == (answer, "stop")


@pytest.mark.parametrize("block", [None, 4])
def test_a_resumed_run_is_bit_equal_and_an_extended_one_is_not_converted_again(
    folder, tmp_path, block, monkeypatch
):
    base = Base(folder / "left", convert=True, block=block)
    corpus = base.read(folder / "pairs.jsonl")
    recipe = Recipe(
        base=base.options, steps=6, learning_rate=1e-2, ema_decay=0.5, batch_size=8,
        anneal_steps=5, **QUICK,
    )  # fmt: skip
    how = {"base": base, "recipe": recipe}
    train(corpus, tmp_path / "whole", **how)
    train(corpus, tmp_path / "open", base=base, recipe=replace(recipe, anneal_steps=0))
    with pytest.raises(Stop):
        train(corpus, tmp_path / "cut", report=stop_at(3), **how)
    assert latest(tmp_path / "cut.training").name == "checkpoint-2"
    with pytest.raises(CheckpointError, match="anneal_steps was 5, is 4"):
        train(corpus, tmp_path / "cut", resume=True, base=base,
              recipe=replace(recipe, anneal_steps=4))  # fmt: skip
    train(corpus, tmp_path / "cut", resume=True, **how)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert not same(weights(tmp_path / "whole"), weights(tmp_path / "open"))

    from unmask.text import converting
    from unmask.training import making

    monkeypatch.setattr(converting, "converted", None)
    monkeypatch.setattr(making, "AttentionAnnealing", None)
    before = weights(tmp_path / "cut")
    train(corpus, tmp_path / "cut", resume=True, steps=8, **how)
    assert not same(before, weights(tmp_path / "cut"))
    assert read_card(tmp_path / "cut").about["recipe"]["steps"] == 8


def test_what_is_chosen_is_said(folder):
    base = Base(folder / "left", convert=True, block=4, logit_shift=False)
    recipe = Recipe(base=base.options, anneal_steps=7)
    said = " ".join(described(base.read(folder / "pairs.jsonl"), recipe, base))
    for words in (
        "attention to blocks of 4", f"mask id {MASK}", "opens over the first 7 steps",
        "logits of a position move to it", "objective block_diffusion", "padding block_fill",
    ):  # fmt: skip
        assert words in said
    base = Base(folder / "left", convert=True)
    said = " ".join(described(base.read(folder / "lines.txt"), Recipe(base=base.options), base))
    for words in ("attention to all", "is open at once", "stay at the one before it",
                  "objective complementary", "padding excluded"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "train it by unmask train --from MODEL --convert"),
        ({"logit_shift": True}, "is of a model to be converted"),
        ({"convert": True, "family": "llada"}, "base.family='llada' beside base.convert"),
        ({"convert": True, "mask_id": 9999}, "is none of the"),
    ],
)
def test_conversions_that_cannot_be(folder, options, words):
    with pytest.raises(ModelError) as error:
        Base(folder / "left", **options)
    assert words in str(error.value)


def test_conversions_of_others_and_annealing_of_none(folder, tmp_path):
    sdar = decoder(tmp_path / "sdar", byte_level(), "sdar")
    with pytest.raises(ModelError, match="masked already"):
        Base(sdar, convert=True)
    window = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    with pytest.raises(ModelError, match="sliding window of 4"):
        Base(causal(tmp_path / "window", OWN, **window), convert=True)
    base = BaseOptions(model=str(sdar))
    with pytest.raises(StrategyError, match="open already"):
        Recipe(base=base, anneal_steps=2).settled()
    with pytest.raises(StrategyError, match="without a model to train further"):
        Recipe(anneal_steps=2).settled()
    with pytest.raises(StrategyError, match="would never be open"):
        Recipe(steps=5, anneal_steps=6)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_adapters_of_a_converted_model_train_the_row_of_the_mask(tmp_path, tied, decay):
    """No other row changes; the folder has the logits of the network that is not merged."""
    left = causal(tmp_path / "left", OWN, tie_word_embeddings=tied)
    base = Base(left, convert=True)
    corpus = base.read(pairs(tmp_path / "pairs.jsonl"))
    recipe = Recipe(base=base.options, steps=4, learning_rate=0.1, lora=LoraOptions(rank=2),
                    ema_decay=decay, **QUICK)  # fmt: skip
    with pytest.raises(Stop):
        train(corpus, tmp_path / "m", base=base, recipe=recipe, report=stop_at(4))
    checkpoint = latest(tmp_path / "m.training")
    saved = unmask.load(checkpoint / "model")
    before = unmask.convert(left).denoiser.net.get_input_embeddings().weight.detach()
    after = saved.net.get_input_embeddings().weight.detach()
    assert after.shape == before.shape
    assert torch.equal(before[:MASK], after[:MASK])
    assert float((before[MASK] - after[MASK]).abs().max()) > 1e-2
    own = saved.net
    assert (own.get_output_embeddings().weight is own.get_input_embeddings().weight) == tied
    assert not any("lora" in name or "token" in name.replace("embed_tokens", "")
                   for name in saved.state_dict())  # fmt: skip

    kept = "weights.safetensors" if not decay else "ema.safetensors"
    found = load_file(checkpoint / kept)
    network = open_base(base, recipe, seed=0)
    trained = trained_weights(network)
    assert sum("trainable_tokens" in name for name in trained) == 1
    for name, weight in trained.items():
        weight.data.copy_(found[f"module.{name}" if decay else f"denoiser.{name}"])
    query = unmask.Query.of(torch.tensor([[5, MASK, 7, MASK]]))
    with torch.no_grad():
        apart = network.eval().logits(network(query, None)[0])
        whole = saved.logits(saved(query, None)[0])
    torch.testing.assert_close(whole[..., :MASK], apart[..., :MASK], atol=1e-4, rtol=1e-4)
    again = unmask.load(unmask.save(network, tmp_path / "again"))
    assert same(again.state_dict(), saved.state_dict())

    for name in "mw":  # the one that was stopped, and one that was not
        train(corpus, tmp_path / name, base=base, recipe=recipe, resume=name == "m")
    assert same(weights(tmp_path / "m"), weights(tmp_path / "w"))
    train(corpus, tmp_path / "m", base=base, recipe=recipe, resume=True, steps=6)
    more = unmask.load(tmp_path / "m").net.get_input_embeddings().weight
    assert not torch.equal(more[MASK], after[MASK])


def test_rows_are_trained_in_float32_and_saved_in_the_dtype_of_the_files(folder, tmp_path):
    half = Base(folder / "left", convert=True, dtype="bfloat16")
    recipe = Recipe(base=half.options, steps=2, lora=LoraOptions(rank=2), **QUICK)
    network = open_base(half, recipe, 0)
    assert {each.dtype for each in trained_weights(network).values()} == {torch.float32}
    train(half.read(folder / "pairs.jsonl"), tmp_path / "m", base=half, recipe=recipe)
    assert unmask.load(tmp_path / "m").net.dtype == torch.bfloat16


@pytest.mark.filterwarnings("error")
def test_adapters_of_gpt2_say_nothing(tmp_path):
    base = Base(causal(tmp_path / "left", OWN, "gpt2"), convert=True)
    trained = trained_weights(
        open_base(base, Recipe(base=base.options, lora=LoraOptions(rank=2)), 0)
    )
    assert sum("lora_" in name for name in trained) == 16  # of two layers
    assert sum("trainable_tokens" in name for name in trained) == 1
