"""`unmask train`: screen and options; the work is tested elsewhere."""

from dataclasses import replace

import pytest

from unmask import training

from .conftest import FIGURES


def test_train_says_where_the_model_is(call, trained):
    done = call("train", "shidoku", "--seed", 4)
    assert done.code == 0
    recipe = training.RECIPES["shidoku"]
    assert trained == [
        {"task": "shidoku", "out": "runs/shidoku", "seed": 4, "resume": False, "recipe": recipe}
    ]
    assert "unmask generate runs/shidoku" in done.out
    assert "139,717" in done.out
    assert done.err == "step 2/3: loss 0.500, held-out bound 0.500 nats (0.721 bits) per token\n"


def test_train_json(call, trained):
    said = call("train", "digits", "--out", "mine", "--resume", "--steps", 9, "--json").json
    assert (said["task"], said["folder"], said["figures"]) == ("digits", "mine", FIGURES)
    recipe = replace(training.RECIPES["digits"], steps=9)
    assert trained == [
        {"task": "digits", "out": "mine", "seed": 0, "resume": True, "recipe": recipe}
    ]


def test_what_is_looked_at_is_an_option(call, trained):
    call("train", "shidoku", "--samples", 0, "--held-out-rows", 40, "--json")
    recipe = trained[0]["recipe"]
    assert (recipe.samples, recipe.held_out_rows) == (0, 40)
    told = call("train", "shidoku", "--samples", -1).error()
    assert "samples=-1: input should be greater than or equal to 0" in told


def test_overwrite_is_handed_on(call, trained):
    assert call("train", "shidoku", "--overwrite", "--json").code == 0
    assert trained[0]["overwrite"]


def test_a_finished_model_is_not_overwritten(call, folders, tmp_path):
    assert (
        "has a finished model: pass --overwrite"
        in call("train", "shidoku", "--out", folders["shidoku"]).error()
    )


def test_interrupt_says_how_to_go_on(call, monkeypatch):
    def interrupted(source, out, **_):
        out.with_name(out.name + ".training").joinpath("checkpoint-5", "model").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    line = ("train", "digits", "--out", "my model", "--seed", 3, "--steps", 50)
    again = "unmask train digits --out 'my model' --seed 3 --set steps=50 --resume"
    assert again in call(*line).error(130)
    assert "unmask train shidoku --resume" in call("train", "shidoku", "--resume").error(130)

    def at_once(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", at_once)
    assert "nothing was saved" in call("train", "shidoku", "--out", "new").error(130)


def test_train_refuses(call, tmp_path):
    assert "did you mean 'shidoku'?" in call("train", "shidok").error()
    (tmp_path / "taken").write_text("")
    assert "taken is a file" in call("train", "digits", "--out", "taken").error()
    assert "nothing to resume" in call("train", "shidoku", "--resume").error()


def test_your_own_data_is_read_and_what_was_chosen_is_said(call, trained, tmp_path):
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question\n" * 50)
    line = ("train", "--data", "book.txt", "--set", "data.length=16", "--steps", 7)
    done = call(*line, "--out", "mine", "--json")
    assert done.json["data"] == "book.txt"
    assert "task" not in done.json
    (run,) = trained
    assert run["recipe"] == replace(
        training.Recipe(), steps=7, data=replace(training.Recipe().data, length=16)
    )
    assert run["task"].longest == 16
    for words in (
        "2,050 bytes as 128 windows of 16",
        "held out: the last 13 of 128 examples",
        "modernbert, 4 layers of width 128",
        "7 steps of 16 examples",
        "objective complementary",
    ):
        assert words in done.err


def test_a_recipe_file_and_words_beat_defaults_in_this_order(call, trained, tmp_path):
    (tmp_path / "r.yaml").write_text("steps: 5\nbatch_size: 8\nschedule: cosine\n")
    call("train", "shidoku", "--recipe", "r.yaml", "--set", "batch_size=16", "--json")
    recipe = trained[0]["recipe"]
    assert (recipe.steps, recipe.batch_size, recipe.schedule) == (5, 16, "cosine")
    assert recipe.backbone == training.RECIPES["shidoku"].backbone


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "pass a built-in task (digits, shidoku, sudoku) or --data PATH"),
        (["shidoku", "--data", "book.txt"], "got both"),
        (["shidoku", "--set", "stepz=5"], "did you mean 'steps'"),
        (["shidoku", "--set", "steps=many"], "steps=many"),
        (["shidoku", "--set", "data.length=9"], "shidoku is built in: leave it out"),
        (["shidoku", "--set", "objective=complementry"], "did you mean 'complementary'"),
        (["shidoku", "--recipe", "none.yaml"], "none.yaml"),
        (["--data", "none.npy"], "none.npy"),
        (["--data", "book.docx"], "book.docx"),
        (["--data", "short.txt"], "--set data.length="),
    ],
)
def test_what_cannot_be_trained_is_told(call, tmp_path, options, words):
    (tmp_path / "book.txt").write_text("word " * 200)
    (tmp_path / "book.docx").write_text("word " * 200)
    (tmp_path / "short.txt").write_text("word")
    assert words in call("train", *options, "--out", "mine").error()
    assert not (tmp_path / "mine").exists()


def test_the_working_folder_and_the_root_as_a_place(call, trained, tmp_path):
    """The one has no name of its own when it is typed, the other has none at all."""
    assert call("train", "shidoku", "--steps", 2, "--out", ".").code == 0
    assert call("train", "shidoku", "--steps", 2, "--out", tmp_path / "x" / "..").code == 0
    assert "pass the name of a folder" in call("train", "shidoku", "--out", "/").error()
