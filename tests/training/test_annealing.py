"""Attention that opens during a run: the share of each step, resuming, pieces, what is measured."""

import pytest
import torch
from tests.models.decoders import MASK, decoder
from tests.training.test_features import Stop, arguments, same
from transformers import TrainerCallback

import unmask
from unmask.data import Example
from unmask.errors import StrategyError
from unmask.training import AttentionAnnealing
from unmask.training.trainer import MaskedTrainer, latest

SAVING = {"save_strategy": "steps", "save_steps": 2}


class Watch(TrainerCallback):
    """The share of every step, after it was taken."""

    def __init__(self, denoiser):
        self.denoiser, self.shares = denoiser, []

    def on_step_end(self, args, state, control, **_):
        self.shares.append(self.denoiser.open_share)


def examples():
    generator = torch.Generator().manual_seed(4)
    return [
        Example(torch.randint(MASK, (n,), generator=generator), torch.ones(n, dtype=torch.bool))
        for n in torch.randint(2, 9, (40,), generator=generator).tolist()
    ]


def trained(folder, steps=4, stop=None, resume=None, args=None, **options):
    torch.set_num_threads(1)
    denoiser = decoder("qwen3", head_dim=8, shift=True)
    watch = Watch(denoiser)
    callbacks = [AttentionAnnealing(denoiser, steps)] if steps else []
    callbacks += [watch, *([] if stop is None else [Stop(stop)])]
    given = arguments(folder, **(SAVING | (args or {})))
    trainer = MaskedTrainer(denoiser, given, examples(), callbacks=callbacks, **options)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    trainer.shares = watch.shares
    return trainer


def test_a_resumed_run_is_bit_equal(tmp_path):
    whole = trained(tmp_path / "whole", ema_decay=0.9)
    assert whole.shares == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert whole.denoiser.open_share == 1.0
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", ema_decay=0.9, stop=3)
    resumed = trained(tmp_path / "cut", ema_decay=0.9, resume=latest(tmp_path / "cut"))
    assert resumed.shares == [0.75, 1.0, 1.0, 1.0]
    assert same(whole.denoiser, resumed.denoiser)
    assert same(whole.finished, resumed.finished)
    assert not same(whole.denoiser, trained(tmp_path / "open", steps=0).denoiser)


def test_pieces_of_a_step_change_nothing(tmp_path):
    one = trained(tmp_path / "one", args={"max_steps": 2})
    pieces = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "max_steps": 2}
    four = trained(tmp_path / "four", args=pieces)
    for mine, theirs in zip(one.denoiser.parameters(), four.denoiser.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_what_is_measured_and_saved_is_open(tmp_path):
    evaluating = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 2}
    trainer = trained(tmp_path / "run", steps=9, args=evaluating, held_out=examples()[:6])
    logged = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    saved = unmask.load(latest(tmp_path / "run") / "model")
    assert saved.open_share == 1.0
    bound = trainer.bound(examples()[:6]).nats_per_token
    assert logged[-1] == pytest.approx(bound, rel=1e-6)
    trainer.denoiser.open_share = 0.1
    assert trainer.bound(examples()[:6]).nats_per_token == bound


def test_only_a_decoder_can_be_opened():
    with pytest.raises(StrategyError, match=r"PlainDenoiser.*unmask\.convert"):
        AttentionAnnealing(unmask.wrap(lambda x: x, mask_id=1, vocab_size=2, try_network=False), 3)
    with pytest.raises(StrategyError, match="steps=0: pass an integer of 1 or more"):
        AttentionAnnealing(decoder(), 0)
