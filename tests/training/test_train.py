"""Training: reproducible, resumable bit for bit, and never losing what is there."""

from __future__ import annotations

import pytest
import torch

import unmask
from unmask.errors import CheckpointError, DataError, StrategyError
from unmask.models.checkpoint import read_card
from unmask.training import Progress, train
from unmask.training.trainer import latest


def weights(folder):
    return unmask.load(folder).state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Stop(KeyboardInterrupt):
    pass


def stop_at(step: int):
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Stop

    return report


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Twenty steps without interruption."""
    folder = tmp_path_factory.mktemp("straight") / "shidoku"
    seen: list[Progress] = []
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


def test_a_loss_that_is_not_finite_stops_with_step_and_seed(tmp_path, monkeypatch):
    from unmask.objectives import complementary
    from unmask.training import trainer

    def broken(*args, **kwargs):
        loss = complementary(*args, **kwargs)
        object.__setattr__(loss, "loss", loss.loss * float("nan"))
        return loss

    monkeypatch.setattr(trainer, "complementary", broken)
    with pytest.raises(DataError, match=r"nan at step 0 \(seed 4\)"):
        train("shidoku", tmp_path / "m", steps=5, seed=4)


def test_digits_drop_their_class(tmp_path):
    """The network sees class ids and the null class in front of the pixels."""
    from unmask.tasks import task
    from unmask.training.recipes import RECIPES, build
    from unmask.training.trainer import MaskedModel

    data = task("digits")
    model = MaskedModel(build(RECIPES["digits"], data, 0), condition_dropout=0.5)
    seen = []
    inner = model.denoiser.inner
    hidden = inner.hidden
    inner.hidden = lambda tokens, **k: (seen.append(tokens[:, 0]), hidden(tokens, **k))[1]
    model(data.train[:64], torch.arange(64), condition=data.train_labels[:64])
    front = seen[0][:64]
    kept = front != data.null_class
    assert 15 < int(kept.sum()) < 49
    assert torch.equal(front[kept], data.train_labels[:64][kept] + data.first_class)
