"""`unmask train --from`: a model of transformers' files, talks, and a folder that answers."""

from pathlib import Path

import pytest
from tests.text.models import byte_level, causal
from tests.training.talks import llada, talk, written

from unmask import training
from unmask.models.checkpoint import read_card
from unmask.training import Base, LoraOptions


@pytest.fixture
def files(tmp_path):
    llada(tmp_path / "base")
    rows = [{"messages": talk(*pair), "source": "x"} for pair in (("a", "one"), ("b", "two")) * 6]
    written(tmp_path / "chat.jsonl", *rows)


LINE = ("train", "--from", "base", "--data", "chat.jsonl", "--out", "mine")


def test_a_model_that_answers(call, files):
    done = call(*LINE, "--lora", "--steps", 2, "--samples", 1, "--set", "learning_rate=1e-3")
    assert done.code == 0, done.err
    for words in (
        "12 talks as 12 examples", "columns not read: source", "held out: 1 of 12 talks",
        "base (LLaDA-8B Base, Instruct, 1.5)", "adapters of rank 16", "learning rate 0.001",
    ):  # fmt: skip
        assert words in done.err
    assert "unmask chat mine" in done.out
    assert "trained parameters" in done.out
    assert call("chat", "mine", "--max-new-tokens", 8, given="a\n").code == 0
    assert read_card("mine").about["base"]["model"] == "base"
    assert "has a finished model" in call(*LINE, "--lora", "--steps", 2).error()
    assert call(*LINE, "--lora", "--steps", 2, "--overwrite", "--samples", 0, "--json").code == 0


def test_options_reach_the_recipe(call, files, monkeypatch):
    calls = []

    def fake(source, out, **how):
        calls.append(how)
        return {"bits_per_token": 1.0}

    monkeypatch.setattr(training, "train", fake)
    done = call(*LINE, "--mask-id", 129, "--dtype", "bfloat16", "--family", "llada", "--lora",
                "--set", "lora.rank=8", "--set", "lora.targets=[q_proj]", "--json")  # fmt: skip
    assert done.code == 0, done.err
    [how] = calls
    recipe = how["recipe"]
    base = {"model": "base", "mask_id": 129, "dtype": "bfloat16", "family": "llada"}
    for name, value in base.items():
        assert getattr(recipe.base, name) == value
    assert recipe.lora == LoraOptions(rank=8, targets=("q_proj",))
    assert isinstance(how["base"], Base)
    Path("r.yaml").write_text("base:\n  model: base\nlora:\n  rank: 4\n")
    assert call("train", "--data", "chat.jsonl", "--recipe", "r.yaml", "--json").code == 0
    assert (calls[-1]["recipe"].base.model, calls[-1]["recipe"].lora.rank) == ("base", 4)


CONVERT = ("train", "--from", "left", "--convert", "--data", "chat.jsonl", "--out", "mine")


@pytest.fixture
def left(files, tmp_path):
    return causal(tmp_path / "left", byte_level(mask=False))


def test_a_left_to_right_model_is_converted(call, left):
    done = call(*CONVERT, "--block", 4, "--no-logit-shift", "--steps", 2, "--anneal", 1)
    assert done.code == 0, done.err
    for words in (
        "attention to blocks of 4", "opens over the first 1 steps", "logits of a position move",
        "objective block_diffusion",
    ):  # fmt: skip
        assert words in " ".join(done.err.split())
    assert call("chat", "mine", "--max-new-tokens", 8, given="a\n").code == 0
    about = read_card("mine").about
    assert about["base"]["converted"] == {"block": 4, "logit_shift": False}
    assert about["recipe"]["anneal_steps"] == 1


def test_interrupted_conversion_says_how_to_go_on(call, left, monkeypatch):
    def interrupted(source, out, **_):
        out.with_name(out.name + ".training").joinpath("checkpoint-5", "model").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    told = " ".join(call(*CONVERT, "--no-logit-shift", "--anneal", 3).error(130).split())
    again = (
        "unmask train --from left --convert --data chat.jsonl --out mine "
        "--set base.logit_shift=False --set anneal_steps=3 --resume"
    )
    assert again in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--from", "left"], "train it by unmask train --from MODEL --convert"),
        (["--from", "base", "--convert"], "masked already"),
        (["--convert"], "base.convert=True without a model to train further"),
        (["--from", "base", "--anneal", 3], "attention of base is open already"),
        (["--from", "base", "--no-logit-shift"], "is of a model to be converted"),
        (["--from", "left", "--convert", "--family", "llada"], "beside base.convert=true"),
        (["--from", "left", "--convert", "--anneal", 9, "--steps", 5], "would never be open"),
    ],
)
def test_conversions_that_cannot_be_are_told_before_data_is_read(call, left, options, words):
    Path("chat.jsonl").write_text("{")
    assert words in " ".join(call("train", *options, "--data", "chat.jsonl").error().split())


def test_interrupt_says_how_to_go_on(call, files, monkeypatch):
    def interrupted(source, out, **_):
        out.with_name(out.name + ".training").joinpath("checkpoint-5", "model").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    told = " ".join(call(*LINE, "--lora", "--mask-id", 129).error(130).split())
    again = "unmask train --from base --mask-id 129 --lora --data chat.jsonl --out mine --resume"
    assert again in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["shidoku", "--from", "base"], "shidoku, which trains a new network"),
        (["--data", "chat.jsonl"], "has talks, in 'messages'"),
        (["--data", "chat.jsonl", "--lora"], "lora.rank=16 without a model to train further"),
        (["--data", "chat.jsonl", "--dtype", "float32"], "without a model to train further"),
        (["--from", "none", "--data", "chat.jsonl"], "'none' is neither a bundled model nor"),
        (["--from", "base", "--data", "chat.jsonl", "--set", "backbone.model_type=bert"],
         "beside base.model='base'"),
        (["--from", "base", "--data", "chat.jsonl", "--lora", "--set", "lora.targets=[v_prj]"],
         "did you mean 'v_proj'"),
        (["--from", "base", "--data", "chat.jsonl", "--set", "data.length=5"],
         "12 of 12 examples have more than 5 tokens"),
        (["--from", "base", "--data", "chat.jsonl", "--set", "data.turns=last"],
         "data.turns=last"),
        (["--from", "base", "--data", "alone.jsonl"], "line 1 (counted from 1), column 'messages'"),
        (["--from", "bare", "--data", "chat.jsonl"], "has none: pass another tokenizer"),
        (["--from", "base", "--data", "chat.jsonl", "--dtype", "float64"], "dtype=float64"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_further_is_told(call, files, tmp_path, options, words):
    written(tmp_path / "alone.jsonl", {"messages": talk("hi")})
    llada(tmp_path / "bare", None)
    said = " ".join(call("train", *options, "--out", "mine").error().split())
    assert words in said
    assert not (tmp_path / "mine").exists()
