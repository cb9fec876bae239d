"""`unmask generate`: what it prints, what it writes, and what it refuses."""

import json
import shutil

import pytest
import torch
from PIL import Image

import unmask
from unmask.tasks.shidoku import is_valid
from unmask.viz import Record

from ..conftest import files

NEEDING_MORE = {"token_critic", "self_critic", "adablock"}
GROWING = ["daedal", "rho_eos"]  # by the id that ends a sequence, which a board has not
PRESETS = [name for name in unmask.presets.__all__ if name not in NEEDING_MORE]


def test_json_holds_what_the_library_generates(call):
    said = call("generate", "shidoku", "-n", 3, "--preset", "maskgit", "--steps", 5, "--json").json
    model = unmask.load("shidoku")
    again = unmask.run(model, unmask.Canvas.blank(3, 16), unmask.presets.maskgit(steps=5), seed=0)
    assert said["tokens"] == again.tokens.tolist()
    assert said["seeds"] == again.seeds.tolist()
    assert said["steps"] == said["forwards"] == [5, 5, 5]
    assert said["logprob"] == pytest.approx(again.logprob.sum(1).tolist())
    assert (said["model"], said["preset"], said["seed"]) == ("shidoku", "maskgit", 0)
    assert said["text"] == ["".join("1234"[i] for i in row) for row in said["tokens"]]
    assert said["valid"] == is_valid(again.tokens).tolist()
    assert said["files"] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_named(call, preset):
    """Those that need a critic can be passed from Python alone, and it is said how."""
    end = ("--set", "end_id=3") if preset in GROWING else ()
    line = ("generate", "shidoku", "-n", 1, "--preset", preset, *end, "--json")
    assert call(*line).json["preset"] == preset


@pytest.mark.parametrize("preset", GROWING)
def test_a_model_without_an_end_says_how_to_name_one(call, preset):
    said = call(
        "generate",
        "shidoku",
        "--preset",
        preset,
    ).err
    assert "or --set end_id=2" in said


def test_seed_decides(call):
    runs = [
        call("generate", "shidoku", "--preset", "maskgit", "--seed", seed, "--json").json["tokens"]
        for seed in (7, 7, 8)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_classes_are_dealt_out_in_turn(call):
    line = ("generate", "digits", "-n", 3, "--preset", "random_order", "--steps", 4, "--json")
    said = call(*line, "--class", 3, "--class", 8).json
    model, classes = unmask.load("digits"), torch.tensor([3, 8, 3])
    canvas = unmask.Canvas.blank(3, 64, condition=classes)
    assert (
        said["tokens"]
        == unmask.generate(model, canvas, unmask.presets.random_order(4), seed=0).tolist()
    )
    assert said["tokens"] != call(*line).json["tokens"]
    assert "valid" not in said
    assert "text" not in said


def test_settings_reach_the_preset(call):
    line = ("generate", "shidoku", "-n", 2, "--preset", "annealed", "--json")
    said = call(*line, "--set", "keep=1.0", "--set", "remask=true", "--schedule", "power(3)").json
    strategy = unmask.presets.annealed(keep=1.0, remask=True, schedule="power(3)")
    expected = unmask.generate(unmask.load("shidoku"), unmask.Canvas.blank(2, 16), strategy, seed=0)
    assert said["tokens"] == expected.tolist()


def test_the_card_recommends_a_preset(call, folders, tmp_path):
    folder = shutil.copytree(folders["shidoku"], tmp_path / "model")
    card = json.loads((folder / "unmask.json").read_text())
    card["about"]["preset"] = {"name": "confidence", "steps": 4}
    (folder / "unmask.json").write_text(json.dumps(card))
    said = call("generate", folder, "-n", 1, "--json").json
    assert (said["preset"], said["steps"]) == ("confidence", [4])
    assert call("generate", folder, "-n", 1, "--steps", 3, "--json").json["steps"] == [3]
    other = call("generate", folder, "-n", 1, "--preset", "maskgit", "--json").json
    assert (other["preset"], other["steps"]) == ("maskgit", [12])
    assert "--preset confidence --steps 4" in call("info", folder).out


def test_pictures_and_records_are_written(call, tmp_path):
    done = call(
        "generate", "digits", "-n", 2, "--steps", 6,
        "--out", "a.png", "--out", "deep/a.gif", "--record", "a.safetensors",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert files(tmp_path) == ["a.png", "a.safetensors", "deep/a.gif"]
    with Image.open("a.png") as picture, Image.open("deep/a.gif") as animation:
        assert picture.format == "PNG"
        assert animation.n_frames == 7
    record = Record.load("a.safetensors")
    assert record.frames.shape == (7, 2, 64)
    assert (record.frames[0] == -1).all()
    assert (record.frames[-1] >= 0).all()
    assert record.info["model"] == "digits"
    assert "wrote deep/a.gif" in done.out


def test_people_get_the_rows_and_a_summary(call):
    done = call("generate", "shidoku", "-n", 2, "--steps", 4)
    assert done.code == 0
    assert "┏" in done.out
    assert "2 rows in 4 steps, 0 of 2 valid" in done.out
    assert done.err == ""


def test_a_model_without_length_needs_one(call, folders):
    assert "--length 64" in call("generate", folders["text"]).error()
    said = call("generate", folders["text"], "--length", 5, "-n", 1, "--json").json
    assert len(said["tokens"][0]) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "maskgt"], "no preset 'maskgt': did you mean 'maskgit'?"),
        (["--preset", "first_hitting", "--steps", 4], "takes no --steps 4; its options and their "
         "defaults: --temperature 1.0"),
        (["--preset", "maskgit", "--set", "keep=1"], "takes no --set keep=1; its options and their "
         "defaults: --steps 12, --schedule cosine, --temperature 1.0, --set choice_temp"),
        (["--preset", "token_critic"], "unmask.presets.token_critic(critic, ...)"),
        (["--preset", "maskgit", "--set", "choise_temp=3"],
         "; did you mean --set choice_temperature=3?"),
        (["--preset", "maskgit", "--set", "step=3"], "; did you mean --steps 3?"),
        (["--set", "keep"], "--set keep: type NAME=VALUE"),
        (
            ["--preset", "annealed", "--set", "keep=abc"],
            "--set keep=abc is of the wrong kind; the default is --set keep=",
        ),
        (["--preset", "annealed", "--set", "remask=3"], "--set remask=3 is of the wrong kind"),
        (["--set", 'steps="4"'], "--steps 4 is of the wrong kind"),
        (["--steps", 4, "--set", "steps=4"], "type one of them"),
        (["--schedule", "cosin"], "unknown schedule 'cosin': did you mean 'cosine'?"),
        (["--steps", 0], "steps=0: pass an integer of 1 or more"),
        (["--temperature", "-1"], "temperature"),
        (["--temperature", "nan"], "temperature"),
        (["-n", 0], "--number=0: pass an integer of 1 or more"),
        (["--seed", "-1"], "seed"),
        (["--class", 10], "--class 10: digits has classes 0 to 9"),
        (["--length", 60], "digits generates 64 positions only"),
        (["--json", "--live"], "leave --live out"),
        (["--live"], "--live needs a terminal"),
        (["--out", "a.jpg"], "--out a.jpg: pass a name that ends in .png"),
        (["--out", "a"], "--out a: pass a name that ends in .png"),
        (["--record", "a.png"], "--record a.png: pass a name that ends in .safetensors"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told(call, tmp_path, options, words):
    assert words in call("generate", "digits", *options, *out_unless_given(options)).error()
    assert files(tmp_path) == []


def out_unless_given(options):
    return [] if "--out" in options else ["--out", "never.png"]


def test_classes_need_a_model_that_knows_some(call):
    assert "shidoku has no classes" in call("generate", "shidoku", "--class", 1).error()


@pytest.mark.parametrize("option", ["--out", "--record"])
def test_names_are_checked_before_the_network_is_loaded(call, monkeypatch, option):
    monkeypatch.setattr("unmask.models.load", lambda name: pytest.fail("loaded first"))
    call("generate", "digits", option, "a.jpg").error()


def test_a_folder_is_no_file(call, tmp_path):
    (tmp_path / "a.png").mkdir()
    assert "is a folder" in call("generate", "digits", "--out", "a.png").error()
    (tmp_path / "b").write_text("")
    assert "b is a file, not a folder" in call("generate", "digits", "--out", "b/a.png").error()


def test_a_misspelt_model_is_told(call):
    assert "did you mean 'digits'?" in call("generate", "digts").error()


@pytest.mark.parametrize("limit", [("--max-rows", 2), ("--max-tokens", 40)])
def test_a_limit_changes_nothing_but_the_parts(call, tmp_path, limit):
    line = ("generate", "shidoku", "-n", 5, "--preset", "maskgit", "--steps", 3, "--json")
    whole = call(*line, "--out", tmp_path / "whole.safetensors").json
    small = call(*line, *limit, "--out", tmp_path / "a.safetensors").json
    for name in ("tokens", "steps", "seeds"):
        assert small[name] == whole[name]
    assert small["logprob"] == pytest.approx(whole["logprob"])
    record = Record.load(tmp_path / "a.safetensors")
    assert torch.equal(record.frames, Record.load(tmp_path / "whole.safetensors").frames)
    assert len(record.frames) == 3 + 1
    assert record.frames[-1].tolist() == small["tokens"]
    after = torch.arange(4)[:, None, None] > record.commit_step
    assert torch.equal(record.frames >= 0, after)


@pytest.mark.parametrize("option", ["--max-rows", "--max-tokens"])
def test_a_limit_that_is_none_is_refused(call, option):
    error = call("generate", "shidoku", option, 0).error()
    assert f"{option}=0: pass an integer of 1 or more" in error.replace("\n", " ")
