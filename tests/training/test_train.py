"""Training: reproducible, resumable bit for bit, and never losing what is there."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch
from tests.training.stops import Stop, stop_at

import unmask
from unmask.data import Corpus, Vocabulary
from unmask.data.padding import Excluded
from unmask.errors import CheckpointError, DataError, InputError, StrategyError, TrainingError
from unmask.models.checkpoint import read_card
from unmask.training import Progress, Recipe, measuring, train
from unmask.training.material import TensorExamples
from unmask.training.trainer import latest


def weights(folder):
    return unmask.load(folder).state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Twenty steps without interruption."""
    folder = tmp_path_factory.mktemp("straight") / "shidoku"
    seen: list[Progress] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "FREE", 1e9)  # so that the clock decides nothing
        figures = train("shidoku", folder, steps=20, report=seen.append)
    return folder, figures, seen


def test_it_reports_every_step_and_measures_now_and_then(straight):
    folder, figures, seen = straight
    assert [p.step for p in seen] == list(range(1, 21))
    measured = [p for p in seen if p.bound is not None]
    assert [p.step for p in measured] == list(range(2, 21, 2))
    assert measured[-1].samples.shape == (16, 16)
    assert measured[-1].bound < measured[0].bound
    assert figures["held_out_examples"] == 88
    assert read_card(folder).about["figures"] == figures
    assert not folder.with_name("shidoku.training").exists()
    sheets = sorted(path.name for path in folder.with_name("shidoku.samples").iterdir())
    assert sheets == [f"step-{step:06d}.png" for step in range(2, 21, 2)]


def test_interrupted_and_resumed_is_bit_equal(straight, tmp_path):
    folder, _, _ = straight
    again = tmp_path / "shidoku"
    with pytest.raises(Stop):
        train("shidoku", again, steps=20, report=stop_at(13))
    assert not again.exists()
    checkpoint = latest(again.with_name("shidoku.training"))
    assert checkpoint.name == "checkpoint-12"
    train("shidoku", again, steps=20, resume=True)
    assert same(weights(folder), weights(again))


def test_another_seed_is_another_model(straight, tmp_path):
    train("shidoku", tmp_path / "other", steps=20, seed=1)
    assert not same(weights(straight[0]), weights(tmp_path / "other"))


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    with pytest.raises(Stop):
        train("shidoku", tmp_path / "m", steps=20, report=stop_at(5))
    with pytest.raises(CheckpointError, match="--resume"):
        train("shidoku", tmp_path / "m", steps=20)


def test_another_run_is_not_resumed(tmp_path):
    with pytest.raises(Stop):
        train("shidoku", tmp_path / "m", steps=20, report=stop_at(5))
    with pytest.raises(CheckpointError, match="seed was 0, is 1"):
        train("shidoku", tmp_path / "m", steps=20, seed=1, resume=True)


def test_a_folder_with_other_files_is_refused_before_training(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    seen = []
    with pytest.raises(CheckpointError, match="has other files"):
        train("shidoku", tmp_path, steps=5, report=seen.append)
    assert seen == []


@pytest.mark.parametrize("task", ["digits", "shidoku", "sudoku", "shakespeare"])
def test_the_bundled_models_are_what_the_recipes_give(task):
    from dataclasses import asdict

    from unmask.training import RECIPES

    about = read_card(task).about
    recipe = json.loads(json.dumps(asdict(RECIPES[task])))
    assert about["preset"] == recipe.pop("preset")
    # What follows from the data is written too: ids, positions, kinds of examples.
    backbone = about["recipe"].pop("backbone")
    assert backbone.items() >= recipe.pop("backbone").items()
    assert about["recipe"] == recipe


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    with pytest.raises(Stop):
        train("shidoku", tmp_path / "m", steps=20, report=stop_at(7))
    work = tmp_path / "m.training"
    (work / "checkpoint-8").mkdir()
    (work / "checkpoint-8" / "model.safetensors").write_bytes(b"cut")
    assert latest(work).name == "checkpoint-6"


def test_nothing_to_resume_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train("shidoku", tmp_path / "m", steps=5, resume=True)


def test_bad_input():
    with pytest.raises(DataError, match="did you mean 'shidoku'"):
        train("shidoko", "m")
    with pytest.raises(StrategyError, match="steps=0"):
        train("shidoku", "m", steps=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "complementry"}, "did you mean 'complementary'"),
        ({"padding": "block_fil(3)"}, "did you mean 'block_fill"),
        ({"precision": "float16"}, "precision='float16'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"label_smoothing": 0.1}, "a smoothed loss is no bound"),
        ({"batch_size": 10, "pieces": 4}, "not a multiple of pieces=4"),
        ({"backbone": {"hidden_size": 8}}, "has no model_type"),
        ({"backbone": {"model_type": "modernbrt"}}, "modernbrt"),
        ({"backbone": {"model_type": "bert", "hiden_size": 8}}, "did you mean 'hidden_size'"),
        ({"backbone": {"model_type": "bert", "vocab_size": 8}}, "set by the data"),
        ({"padding": "end_of_sequence"}, "needs an end-of-sequence id"),
        ({"ema_decay": 1.5}, "ema_decay=1.5: input should be less than 1"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: input should be greater"),
        ({"preset": {"name": "randm_order"}}, "did you mean 'random_order'"),
        ({"preset": {"name": "maskgit", "stps": 3}}, "takes no stps=3; its options and their def"),
        ({"preset": {"name": "maskgit", "steps": "3"}}, "steps='3' is of the wrong kind"),
        ({"preset": {"name": "halton"}}, "needs a height and a width, which neither"),
        ({"preset": {"steps": 3}}, "a preset is written as"),
        ({"backbone": {"model_type": "roberta"}}, "keeps an id for padding"),
    ],
)
def test_a_recipe_that_cannot_work_is_told(tmp_path, options, words):
    with pytest.raises(InputError, match=re.escape(words)):
        train("shidoku", tmp_path / "m", recipe=Recipe(**options), steps=2)
    assert list(tmp_path.glob("**/*.safetensors")) == []


def test_a_loss_that_is_not_finite_stops_with_step_and_seed(tmp_path, monkeypatch):
    """And the last good checkpoint is kept, and opens."""
    from unmask.objectives import complementary
    from unmask.training import recipe

    calls = iter(range(100))

    def broken(*args, **kwargs):
        loss = complementary(*args, **kwargs)
        return replace(loss, loss=loss.loss * float("nan")) if next(calls) == 7 else loss

    monkeypatch.setattr(recipe.Recipe, "loss", lambda self: broken)
    with pytest.raises(TrainingError, match=r"nan at step 7 \(run seed 4, first row's seed \d+\)"):
        train("shidoku", tmp_path / "m", steps=20, seed=4)
    kept = latest(tmp_path / "m.training")
    assert kept.name == "checkpoint-6"
    assert unmask.generate(unmask.load(kept / "model"), batch_size=2, seed=0).shape == (2, 16)


def test_digits_lose_their_class_and_warped_ones_are_told_apart():
    from unmask.tasks import task
    from unmask.training.augment import Warped
    from unmask.training.collate import Collator
    from unmask.training.material import of_task
    from unmask.training.network import kinds
    from unmask.training.recipes import RECIPES

    data, recipe = of_task(task("digits")), RECIPES["digits"]
    assert kinds(data) == 22
    size = len(data.train)

    def batch(steps):
        collate = Collator(
            seed=0,
            step_size=size,
            steps=steps,
            padding=Excluded(),
            pad_id=0,
            classes=kinds(data) - 1,
            condition_dropout=recipe.condition_dropout,
            augment=Warped(data.warp, data.classes, *recipe.warped),
        )
        last = (steps - 1) * size
        return collate([(last + i, data.train[i]) for i in range(size)])

    early = batch(1)
    kind, tokens = early["condition"] + 1, data.train.tokens
    warped = kind > data.classes
    assert float(warped.double().mean()) == pytest.approx(recipe.warped[0], abs=0.05)
    assert torch.equal(early["tokens"][~warped], tokens[~warped])
    assert (early["tokens"][warped] != tokens[warped]).any(1).all()
    kind[warped] -= 11
    dropped = kind == 0
    assert float(dropped.double().mean()) == pytest.approx(recipe.condition_dropout, abs=0.05)
    assert torch.equal(kind[~dropped] - 1, data.train.classes[~dropped])
    late = batch(10_000)["condition"]
    assert float((late > 9).double().mean()) == pytest.approx(recipe.warped[1], abs=0.05)


def test_the_class_reaches_every_position():
    from unmask.tasks import task
    from unmask.training.material import of_task
    from unmask.training.network import build_network, finished
    from unmask.training.recipes import RECIPES

    data = of_task(task("digits"))
    trained = build_network(RECIPES["digits"], data, 0)
    seen = []
    hook = trained.inner.net.bert.embeddings.token_type_embeddings.register_forward_hook(
        lambda _, given, __: seen.append(given[0])
    )
    canvas = unmask.Canvas.blank(3, 64, condition=torch.tensor([4, -1, 0]))
    unmask.generate(finished(trained, data), canvas, unmask.presets.random_order(1), seed=0)
    hook.remove()
    assert torch.equal(seen[0], torch.tensor([[5], [0], [1]]).expand(3, 64))


def corpus(seed, classes=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 5, (60, 6), generator=generator)
    labels = None
    if classes:
        labels = torch.arange(60) % classes
        tokens = tokens % 2 + 2 * labels[:, None]
    vocabulary = Vocabulary.of_ids(5)
    return Corpus(TensorExamples(tokens, labels), vocabulary, longest=6, classes=classes)


def test_other_data_of_the_same_size_is_not_gone_on_with(tmp_path):
    recipe = Recipe(backbone=TINY, steps=20)
    with pytest.raises(Stop):
        train(corpus(0), tmp_path / "m", recipe=recipe, report=stop_at(5))
    with pytest.raises(CheckpointError, match="examples was 54 examples"):
        train(corpus(1), tmp_path / "m", recipe=recipe, resume=True)
    train(corpus(0), tmp_path / "m", recipe=recipe, resume=True)


def test_classes_are_learnt_and_so_is_doing_without(tmp_path):
    """The held-out figure is that without a class; the class makes another."""
    recipe = Recipe(backbone=TINY, steps=150, learning_rate=1e-2, ema_decay=0.9)
    figures = train(corpus(0, classes=2), tmp_path / "m", recipe=recipe)
    assert figures["bits_per_token"] < 1.9  # four ids, two by class
    model = unmask.load(tmp_path / "m")
    made = unmask.generate(model, batch_size=40, condition=torch.arange(40) % 2, seed=0)
    assert float(((made >= 2) == (torch.arange(40) % 2 == 1)[:, None]).float().mean()) > 0.8


TINY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "hidden_dropout_prob": 0.0,
}


@pytest.mark.skipif(torch.accelerator.is_available(), reason="CPUs alone have the slow kernel")
@pytest.mark.parametrize(("precision", "kernel"), [("float32", "sdpa"), ("bfloat16", "eager")])
def test_bf16_avoids_the_slow_gradients_of_fused_attention_on_cpus(precision, kernel):
    from unmask.tasks import task
    from unmask.training.material import of_task
    from unmask.training.network import build_network

    small = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1}
    recipe = Recipe(backbone={**small, "num_attention_heads": 2}, precision=precision)
    made = build_network(recipe, of_task(task("shidoku")), 0)
    assert made.net.config._attn_implementation == kernel


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_half_the_bytes_and_measured_as_they_are_stored(tmp_path, dtype):
    from safetensors.torch import load_file

    corpus = Corpus(
        TensorExamples(torch.arange(640).view(40, 16) % 11, None), Vocabulary.of_ids(11), 16
    )
    backbone = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 16}  # fmt: skip
    recipe = Recipe(backbone=backbone, steps=4, samples=0, held_out_rows=0, stored=dtype)
    figures = train(corpus, tmp_path / "half", recipe=recipe)
    train(corpus, tmp_path / "whole", recipe=replace(recipe, stored="float32"))
    half, whole = weights(tmp_path / "half"), weights(tmp_path / "whole")
    assert {each.dtype for each in half.values() if each.is_floating_point()} == {torch.float32}
    kept = getattr(torch, dtype)
    file = load_file(tmp_path / "half" / "model.safetensors")
    assert {each.dtype for each in file.values()} == {kept}
    assert len(file) == len(load_file(tmp_path / "whole" / "model.safetensors"))  # tied ones once
    for name, each in whole.items():
        torch.testing.assert_close(half[name], each.to(kept).float(), rtol=0, atol=0)
    held_out = corpus.split()[1].examples
    rows = torch.stack([example.tokens for example in held_out])
    found = unmask.score(unmask.load(tmp_path / "half"), rows).bits_per_token
    assert found == pytest.approx(figures["bits_per_token"], abs=4 * figures["standard_error"])
