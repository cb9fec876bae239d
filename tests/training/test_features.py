"""What Trainer offers works with a masked objective: bf16, clipping, averages, LoRA, saving."""

import copy
import errno
from types import SimpleNamespace

import pytest
import torch
from tests.training.gradients import LENGTH, MASK, VOCAB, examples, network
from transformers import AutoModelForMaskedLM, TrainerCallback, TrainingArguments

import unmask
from unmask import scoring
from unmask.data.padding import EndFill, Excluded
from unmask.errors import StrategyError
from unmask.models import SelfConditioning
from unmask.training import trainer as trainers
from unmask.training.trainer import MaskedTrainer, latest

NETWORKS = ["BERT", "x-transformers"]


def arguments(folder, **options):
    plain = {
        "output_dir": str(folder),
        "max_steps": 6,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "log_level": "error",
    }
    return TrainingArguments(**(plain | options))


def trained(folder, name="BERT", net=None, resume=None, stop=None, args=None, **options):
    torch.set_num_threads(1)
    denoiser = unmask.wrap(network(name) if net is None else net, mask_id=MASK)
    callbacks = [] if stop is None else [Stop(stop)]
    trainer = MaskedTrainer(
        denoiser, arguments(folder, **(args or {})), examples(), callbacks=callbacks, **options
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


class Stop(TrainerCallback):
    """Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", NETWORKS)
def test_resumed_is_bit_equal(name, tmp_path):
    """Weights, averages and the order of examples go on where the checkpoint stood."""
    saving = {"save_strategy": "steps", "save_steps": 2}
    whole = trained(tmp_path / "whole", name, ema_decay=0.9, args=saving)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", name, ema_decay=0.9, args=saving, stop=5)
    kept = latest(tmp_path / "cut")
    assert kept.name == "checkpoint-4"
    resumed = trained(tmp_path / "cut", name, ema_decay=0.9, args=saving, resume=kept)
    assert same(whole.denoiser, resumed.denoiser)
    assert same(whole.finished, resumed.finished)
    assert not same(whole.denoiser, whole.finished)


def test_a_checkpoint_is_a_model_here_and_for_transformers(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 3}
    trainer = trained(tmp_path, ema_decay=0.9, args=saving, card={"training": {"objective": "x"}})
    folder = latest(tmp_path) / "model"
    assert folder.parent.name == "checkpoint-6"
    assert same(unmask.load(folder), trainer.finished)
    theirs = AutoModelForMaskedLM.from_pretrained(folder)
    assert same(theirs, trainer.finished.net)
    assert unmask.models.checkpoint.read_card(folder).training == {"objective": "x"}


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    saved = []

    def full(*given, **options):
        if saved:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(unmask.save(*given, **options))

    monkeypatch.setattr(trainers, "save", full)
    saving = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 2}
    with pytest.raises(OSError, match="No space left"):
        trained(tmp_path, args=saving)
    assert latest(tmp_path).name == "checkpoint-2"
    unmask.load(latest(tmp_path) / "model")


def test_the_average_is_that_of_the_weights(tmp_path):
    seen = []

    class Weights(TrainerCallback):
        def on_step_end(self, args, state, control, model, **_):
            seen.append(copy.deepcopy(model.denoiser.state_dict()))

    denoiser = unmask.wrap(network("BERT"), mask_id=MASK)
    trainer = MaskedTrainer(
        denoiser, arguments(tmp_path), examples(), ema_decay=0.5, callbacks=[Weights()]
    )
    trainer.train()
    average = seen[0]  # torch's AveragedModel starts with the first weights it is shown
    for n, weights in enumerate(seen[1:], start=1):
        keep = min(0.5, (1 + n) / (10 + n))
        average = {k: keep * average[k] + (1 - keep) * weights[k] for k in weights}
    for key, value in trainer.finished.state_dict().items():
        torch.testing.assert_close(value, average[key], atol=1e-6, rtol=1e-5)


def test_bf16_computes_in_bf16_and_keeps_float32_weights(tmp_path):
    seen = []
    net = network("BERT")
    net.bert.encoder.register_forward_hook(lambda _, __, out: seen.append(out[0].dtype))
    trainer = trained(tmp_path, net=net, args={"bf16": True})
    linear = net.bert.encoder.layer[0].intermediate.dense
    assert {p.dtype for p in trainer.denoiser.parameters()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(torch.zeros(1, 16)).dtype == torch.bfloat16
    full = trained(tmp_path / "full")
    assert not same(trainer.denoiser, full.denoiser)
    for a, b in zip(trainer.denoiser.parameters(), full.denoiser.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0.1, rtol=0)


def test_gradients_are_clipped(tmp_path):
    norms = []

    class Norm(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **_):
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(grads)))

    denoiser = unmask.wrap(network("BERT"), mask_id=MASK)
    MaskedTrainer(
        denoiser, arguments(tmp_path, max_grad_norm=0.01), examples(), callbacks=[Norm()]
    ).train()
    assert norms == pytest.approx([0.01] * 6, rel=1e-3)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_lora_trains_the_adapters_alone(tmp_path):
    from peft import LoraConfig, get_peft_model

    before = network("BERT")
    net = get_peft_model(network("BERT"), LoraConfig(r=2, target_modules=["query", "value"]))
    trainer = trained(tmp_path, net=net, args={"learning_rate": 0.1})
    with net.disable_adapter():
        logits = net(input_ids=torch.arange(LENGTH)[None]).logits
        torch.testing.assert_close(logits, before.eval()(torch.arange(LENGTH)[None]).logits)
    unmask.save(trainer.finished, tmp_path / "model")
    changed = unmask.load(tmp_path / "model").net(torch.arange(LENGTH)[None]).logits
    assert float((changed - logits).detach().abs().max()) > 1e-3


def test_the_held_out_bound_is_logged_by_trainer(tmp_path):
    told = []

    class Told(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics, **_):
            told.append(metrics)

    rest = examples(20)
    trainer = MaskedTrainer(
        unmask.wrap(network("BERT"), mask_id=MASK),
        arguments(tmp_path, eval_strategy="steps", eval_steps=3),
        examples(),
        held_out=rest,
        callbacks=[Told()],
    )
    trainer.train()
    rows = Excluded()([e.tokens for e in rest], [e.maskable for e in rest])
    by_hand = scoring.score(
        trainer.finished, rows.tokens, rows.maskable, valid=rows.valid, by=scoring.Bound(samples=1)
    )
    assert len(told) == 2
    assert told[-1]["eval_loss"] == pytest.approx(by_hand.nats_per_token)
    assert told[-1]["eval_bits_per_token"] == pytest.approx(by_hand.bits_per_token)
    assert told[-1]["eval_standard_error"] == pytest.approx(by_hand.standard_error)
    assert [e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e] == [
        t["eval_loss"] for t in told
    ]


@pytest.mark.parametrize("padding", [Excluded(), EndFill(5)])
def test_prompts_are_shown_and_padding_is_what_the_policy_says(padding, tmp_path):
    batches = []

    def objective(denoiser, tokens, maskable, seed, **given):
        batches.append((tokens, maskable, given["valid"]))
        return unmask.objectives.complementary(denoiser, tokens, maskable, seed, **given)

    trained(tmp_path, objective=objective, padding=padding, length=LENGTH, pad_id=3)
    known = {tuple(e.tokens.tolist()): e for e in examples()}
    for tokens, maskable, valid in batches:
        assert tokens.shape == (8, LENGTH)
        for row, free, real in zip(tokens, maskable, valid, strict=True):
            whole = next(
                e for key, e in known.items() if tuple(row[: len(key)].tolist()) == key
                and bool((row[len(key):] == (5 if padding != Excluded() else 3)).all())
            )  # fmt: skip
            size = len(whole.tokens)
            assert torch.equal(free[:size], whole.maskable)
            assert bool((free[size:] == (padding != Excluded())).all())
            assert bool(real[:size].all())
            assert bool((real[size:] == (padding != Excluded())).all())


def test_arguments_that_would_change_the_loss_are_refused(tmp_path):
    refused = [
        {"average_tokens_across_devices": False},
        {"label_smoothing_factor": 0.1},
        {"load_best_model_at_end": True, "save_strategy": "no", "eval_strategy": "no"},
        {"data_seed": 3},
    ]
    for options in refused:
        with pytest.raises(StrategyError, match=next(iter(options))):
            trained(tmp_path, args=options)


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch):
    alone = SimpleNamespace(
        average_tokens_across_devices=True, label_smoothing_factor=0.0, world_size=1
    )
    trainers.check_arguments(alone)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StrategyError, match=r"2 processes were launched.*use_cpu=True"):
        trainers.check_arguments(alone)


def test_options_without_effect_are_refused(tmp_path):
    for options in ({"condition_dropout": 0.5}, {"self_condition": 0.5}):
        with pytest.raises(StrategyError, match=next(iter(options))):
            trained(tmp_path, **options)


def test_self_conditioning_is_known_through_a_wrapper(tmp_path):
    def learnt(wrapped, share):
        parts = SelfConditioning(16)
        with torch.no_grad():
            parts.to_self_cond.weight.copy_(torch.eye(16))
            parts.null_embed.fill_(0.5)
        net = network("x-transformers")
        denoiser = wrapped(unmask.wrap(net, mask_id=MASK, self_conditioning=parts))
        args = arguments(tmp_path, max_steps=2)
        MaskedTrainer(denoiser, args, examples(), self_condition=share).train()
        return torch.cat([weight.flatten() for weight in net.parameters()])

    plain = learnt(lambda denoiser: denoiser, 0.5)
    packed = learnt(lambda denoiser: unmask.Packed(denoiser, LENGTH), 0.5)
    assert torch.allclose(plain, packed, atol=1e-4)
    assert not torch.allclose(plain, learnt(lambda denoiser: denoiser, 0.0), atol=1e-3)


def test_evaluate_measures_what_it_is_given(tmp_path):
    trainer = trained(tmp_path, held_out=examples(20))
    assert trainer.evaluate() == trainer.evaluate(examples(20))
    assert trainer.evaluate() != trainer.evaluate(examples(9))


def test_epochs_become_steps(tmp_path):
    trainer = trained(tmp_path, args={"max_steps": -1, "num_train_epochs": 2})
    assert trainer.state.global_step == -(-2 * 37 // 8)
    assert VOCAB == MASK + 1
