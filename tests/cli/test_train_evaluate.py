"""`unmask train` and `unmask evaluate`: screen and options; the work is tested elsewhere."""

import inspect
import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from unmask import evaluation, training
from unmask.cli import screen, training_screen
from unmask.tasks import task

FIGURES = {"bits_per_token": 1.25, "parameters": 139717, "seconds": 3.5}


@pytest.fixture
def trained(monkeypatch):
    """`training.train` replaced by one that reports three times; its calls, as they came."""
    calls = []

    def fake(name, out, *, recipe, seed=0, resume=False, report=None):
        calls.append(
            {"task": name, "out": str(out), "seed": seed, "resume": resume, "recipe": recipe}
        )
        data = task(name if isinstance(name, str) else "shidoku")
        for step in (1, 2, 3):
            extra = {"bound": 0.5, "samples": data.train[:2], "layout": data.layout}
            report(training.Progress(step, 3, 1.0 / step, **(extra if step == 2 else {})))
        return FIGURES

    assert inspect.signature(fake).parameters.keys() <= {
        "name", *inspect.signature(training.train).parameters
    }  # fmt: skip
    monkeypatch.setattr(training, "train", fake)
    return calls


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
    assert "nothing to go on from" in call("train", "shidoku", "--out", "new").error(130)


def test_train_refuses(call, tmp_path):
    assert "did you mean 'shidoku'?" in call("train", "shidok").error()
    (tmp_path / "taken").write_text("")
    assert "taken is a file" in call("train", "digits", "--out", "taken").error()
    assert "nothing to resume" in call("train", "shidoku", "--resume").error()


def test_screen_shows_bar_figures_and_samples(monkeypatch):
    told = io.StringIO()
    terminal = Console(file=told, force_terminal=True, width=80, height=24)
    monkeypatch.setattr(screen, "err", lambda: terminal)
    monkeypatch.setattr(training_screen, "watched", lambda: True)
    view, data = training_screen.TrainingScreen("shidoku"), task("shidoku")
    with view.shown():
        view.report(training.Progress(20, 100, 0.75, 0.5, data.train[:4], data.layout))
    for words in ("20/100", "loss 0.750", "held-out bound 0.500", "samples at step 20"):
        assert words in told.getvalue()


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


def test_scores_have_the_padding_of_training(call, tmp_path):
    """What was learnt to stand after the end is there, and is scored with the rest."""
    import unmask
    from unmask.data import Vocabulary
    from unmask.data.padding import EndOfSequence, to_dict

    vocabulary = Vocabulary("ids", size=6, mask_id=6, eos_id=5)
    net = unmask.load("shidoku").net.__class__
    config = net.config_class(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8,
    )  # fmt: skip
    model = unmask.wrap(net(config), mask_id=6, length=8)
    card = {"vocabulary": vocabulary.to_dict()}
    (tmp_path / "rows.jsonl").write_text('{"ids": [1, 2, 3]}\n{"ids": [4, 1]}\n')
    line = ("rows.jsonl", "--json")
    unmask.save(model, "plain", **card)
    assert call("score", "plain", *line).json["tokens"] == 5
    ends = {"training": {"padding": to_dict(EndOfSequence(5))}}
    unmask.save(model, "ends", **card, **ends)
    assert call("score", "ends", *line).json["tokens"] == 16


@pytest.mark.parametrize("task_name", [None, "digits"])
def test_init_writes_a_recipe_that_trains_as_without(call, trained, tmp_path, task_name):
    extra = [] if task_name is None else ["--task", task_name]
    assert "wrote mine.yaml" in call("init", "mine.yaml", *extra).out
    text = (tmp_path / "mine.yaml").read_text()
    assert text.count("#") >= len(training.Recipe.__dataclass_fields__)
    name = task_name or "shidoku"
    call("train", name, "--recipe", "mine.yaml", "--json")
    expected = training.Recipe() if task_name is None else training.RECIPES[task_name]
    if task_name is not None:
        assert trained[0]["recipe"] == expected
    assert "is there already" in call("init", "mine.yaml").error()
    assert "type recipe.yaml" in call("init", "recipe.json").error()


ROWS = [
    {"figure": "bound", "preset": None, "bits": 1.9381, "standard_error": 0.014, "reference": 1.94},
    {"figure": "two-sample", "preset": "maskgit", "steps": 16, "accuracy": 0.5, "reference": None},
    {"figure": "two-sample", "preset": "annealed", "steps": 1000, "accuracy": 0.75},
]


@pytest.fixture
def evaluated(monkeypatch):
    calls = []
    real = inspect.signature(evaluation.evaluate)

    def fake(*arguments, **options):
        calls.append(real.bind(*arguments, **options).arguments)
        options["report"](0, 3, "bound")
        return ROWS

    monkeypatch.setattr(evaluation, "evaluate", fake)
    return calls


def test_evaluate_prints_a_table_for_each_figure(call, evaluated):
    done = call("evaluate", "digits", "--seed", 2, "--quick")
    assert done.code == 0
    assert done.out.count("reference") == 1
    bound, two_sample = done.out.split("two-sample")
    assert "1.938" in bound
    assert "preset" not in bound
    assert "1,000" in two_sample
    assert "bits" not in two_sample
    assert (evaluated[0]["task"], evaluated[0]["seed"], evaluated[0]["quick"]) == (
        "digits",
        2,
        True,
    )


def test_evaluate_json_and_model(call, evaluated, folders):
    said = call("evaluate", "shidoku", "--model", folders["shidoku"], "--json").json
    assert said["rows"] == ROWS
    assert said["model"] == str(folders["shidoku"])
    assert evaluated[0]["quick"] is False
    assert torch.is_tensor(next(evaluated[0]["model"].parameters()))


def test_evaluate_names_the_tasks(call):
    assert "known: digits, shidoku, sudoku" in call("evaluate", "letters").error()
