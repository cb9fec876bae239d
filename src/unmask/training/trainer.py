"""transformers' Trainer with masking, the loss of a step per token, and models in checkpoints.

B examples a batch, N positions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler, SequentialSampler

from unmask.core.calls import check_calls
from unmask.core.files import discard, put_in_place
from unmask.data import Corpus, Example
from unmask.data.padding import Excluded, Padding
from unmask.errors import TOKEN_DROPOUT, CheckpointError, StrategyError, TrainingError
from unmask.models import save
from unmask.objectives import complementary
from unmask.scoring import Bound, Score, score
from unmask.training.averaging import Averaging
from unmask.training.base import Trainer
from unmask.training.collate import Augment, Collator
from unmask.training.examples import checked_examples, rules_of
from unmask.training.inputs import (
    check_arguments,
    check_checkpointing,
    check_classes,
    check_network,
    check_objective,
    check_options,
    check_rows,
    check_sizes,
    checked_callbacks,
    need,
)
from unmask.training.model import MaskedModel, Objective
from unmask.training.stream import Draws, spread
from unmask.training.within import has_adapters, trained_weights
from unmask.training.writing import writing

if TYPE_CHECKING:
    from transformers import TrainingArguments

WEIGHTS = "weights.safetensors"  # weights of the network in training
EXCLUDED = Excluded()
MODEL = "model"  # in a checkpoint: a folder for `unmask.load`
LIMIT = 256  # examples of `evaluate`
STAGING = ".writing"  # the folder in which a checkpoint is written before it has its name


class MaskedTrainer(Trainer):
    """transformers' Trainer for denoisers; `args` has the settings that are Trainer's own.

    examples: any sequence of `data.Example`, or a corpus. held_out: the same, for the bound that
    `evaluate` and `eval_strategy` report. objective: a function of `unmask.objectives`. padding,
    length, pad_id: policy, positions and id of padding. self_condition: share of rows that get the
    hidden states of a first pass. classes: number of classes; condition_dropout: share of rows
    trained without theirs. ema_decay: of averaged weights, 0 for none. card: arguments of `save`
    for the models in checkpoints.
    The masks of draw n depend on (args.seed, n) alone, and a step's loss is nats per token over all
    its processes and pieces, so their numbers do not change the gradient.
    Raises StrategyError for arguments that contradict each other or do not work, DataError for
    examples that the network cannot be trained on; both before any step.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        denoiser: Any,
        args: TrainingArguments,
        examples: Sequence[Example] | Corpus,
        *,
        held_out: Sequence[Example] | Corpus | None = None,
        objective: Objective = complementary,
        padding: Padding = EXCLUDED,
        length: int | None = None,
        pad_id: int = 0,
        self_condition: float = 0.0,
        classes: int = 0,
        condition_dropout: float = 0.0,
        augment: Augment | None = None,
        ema_decay: float = 0.0,
        card: dict[str, Any] | None = None,
        callbacks: Sequence[Any] | None = None,
    ):
        check_network(denoiser)
        check_sizes(args)
        check_arguments(args)
        check_checkpointing(denoiser, args)
        measured = f"eval_strategy={str(args.eval_strategy)!r} without examples to measure on"
        need(args.eval_strategy == "no" or held_out is not None, measured, "pass held_out=")
        check_options(denoiser, self_condition, ema_decay, augment, card)
        check_classes(denoiser, classes, condition_dropout)
        check_rows(denoiser, padding, length, pad_id)
        check_objective(objective, denoiser)
        self.rules = rules_of(denoiser, classes, length)
        filled = not isinstance(padding, Excluded)
        examples = checked_examples("examples", examples, self.rules, filled=filled)
        if held_out is not None:
            held_out = checked_examples("held_out", held_out, self.rules)
        self.held_out = held_out
        args = copy.copy(args)
        size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        args.max_steps = steps_of(args, len(examples), size)
        # Keep all columns; Trainer counts `labels` and passes them to no metric.
        args.remove_unused_columns, args.label_names = False, []
        args.dataloader_pin_memory &= torch.cuda.is_available()  # else torch warns of it
        self.average = Averaging(denoiser, ema_decay) if ema_decay else None
        self.card = card or {}
        self.writer: Callable[[Any, Path], None] | None = None  # in place of `save`, by `train`
        self.last_loss = float("nan")
        self._staging: str | None = None
        collator = Collator(
            seed=args.seed,
            step_size=size,
            steps=args.max_steps,
            padding=padding,
            pad_id=pad_id,
            rules=self.rules,
            length=length,
            classes=classes,
            condition_dropout=condition_dropout,
            augment=augment,
        )
        collator([(0, examples[0])])  # a padding or augment of one's own fails here
        super().__init__(
            model=MaskedModel(denoiser, objective, self_condition),
            args=args,
            data_collator=collator,
            train_dataset=Draws(examples, args.max_steps * size, args.seed),
            eval_dataset=self.held_out,  # `evaluate` alone reads it
            callbacks=[*([self.average] if self.average else []), *checked_callbacks(callbacks)],
        )
        self.model_accepts_loss_kwargs, self._loss_shifts_labels = True, False

    @property
    def denoiser(self) -> Any:
        """The network in training, without averaging."""
        return self.accelerator.unwrap_model(self.model).denoiser

    @property
    def finished(self) -> Any:
        """The network to use: with averaged weights, if they are computed."""
        return self.denoiser if self.average is None else self.average.denoiser

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return a piece's share of a step's nats per token. TrainingError if not finite."""
        assert num_items_in_batch is not None
        total: Tensor = model(**inputs).sum()
        share = total / torch.as_tensor(num_items_in_batch).sum().clamp(min=1)
        # Gradients are averaged over processes, and the count covers all of them.
        loss: Tensor = share * self.accelerator.num_processes
        self.last_loss = float(loss.detach()) * self.args.gradient_accumulation_steps
        if not math.isfinite(self.last_loss):
            raise TrainingError(
                f"the loss is {self.last_loss} at step {self.state.global_step} (run seed "
                f"{self.args.seed}, first row's seed {int(inputs['seed'][0])}): lower the learning "
                f"rate, or check the initial weights ({TOKEN_DROPOUT}); the last checkpoint is kept"
            )
        return loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return, log and report the bound of the finished network on held-out examples.

        eval_dataset: examples in place of held_out. At most `LIMIT` examples, spread evenly, by one
        pair of masks each; for more use `bound` or `unmask.score`.
        """
        examples = self.held_out
        if eval_dataset is not None:
            examples = checked_examples("eval_dataset", eval_dataset, self.rules)
        if examples is None:
            raise StrategyError("there are no examples to evaluate on: pass held_out=")
        bound = self.bound(examples)
        metrics = {
            f"{metric_key_prefix}_loss": bound.nats_per_token,
            f"{metric_key_prefix}_bits_per_token": bound.bits_per_token,
            f"{metric_key_prefix}_standard_error": bound.standard_error,
        }
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def bound(self, examples: Sequence[Example], limit: int = LIMIT, *, samples: int = 1) -> Score:
        """Return the bound of the finished network on at most `limit` examples, spread evenly.

        By `samples` pairs of masks each, always the same ones, and without classes.
        """
        collator: Any = self.data_collator
        rows = collator.padded([examples[i] for i in spread(len(examples), limit)])
        device = next(self.finished.parameters()).device
        return score(
            self.finished,
            rows.tokens.to(device),
            rows.maskable.to(device),
            valid=rows.valid.to(device),
            by=Bound(samples=samples),
            batch_size=2 * self.args.train_batch_size,  # rows, as pairs of masks have in training
        )

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        """Return a sequential sampler, because the draws are shuffled already."""
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(dataset)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write Trainer's own files, the averaged weights and the model folder, then rename all.

        Older checkpoints are deleted last. Raises OSError where something cannot be written.
        """
        root = Path(str(self.args.output_dir))
        target = root / f"checkpoint-{self.state.global_step}"
        staged = root / STAGING / target.name
        if self.args.should_save:
            discard(staged.parent)  # of a run that was killed
        self.accelerator.wait_for_everyone()
        self._staging = str(staged.parent)
        try:
            with writing(target):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if not self.args.should_save:
                    return
                if self.average is not None:
                    self.average.write(staged)
                self.write_model(staged / MODEL)
                put_in_place(staged, target)
                keep_newest(root, self.args.save_total_limit)
        finally:
            self._staging = None
            if self.args.should_save:
                discard(staged.parent)

    def write_model(self, folder: Path) -> None:
        """Write the finished network to a folder that `unmask.load` opens."""
        if self.writer is not None:
            self.writer(self.finished, folder)
        else:
            save(self.finished, folder, **self.card)

    def _get_output_dir(self, trial: Any) -> Any:
        return self._staging or super()._get_output_dir(trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Take up the optimiser's state, at the learning rate that this run has at that step."""
        super()._load_optimizer_and_scheduler(checkpoint)
        schedule, optimizer = cast(Any, self.lr_scheduler), cast(Any, self.optimizer)
        for group, rule, rate in zip(
            optimizer.param_groups,
            getattr(schedule, "lr_lambdas", []),
            getattr(schedule, "base_lrs", []),
            strict=False,
        ):
            group["lr"] = rate * rule(schedule.last_epoch)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the weights, tied ones included; of a network with adapters, only these."""
        from safetensors.torch import save_file, save_model

        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        model = self.accelerator.unwrap_model(self.model)
        if has_adapters(model):
            adapters = {name: each.detach() for name, each in trained_weights(model).items()}
            save_file(adapters, str(folder / WEIGHTS))
        else:
            save_model(model, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        from safetensors.torch import load_file, load_model

        folder = Path(resume_from_checkpoint)
        inner = self.accelerator.unwrap_model(self.model)
        if has_adapters(inner):
            own, found = trained_weights(inner), load_file(str(folder / WEIGHTS))
            if own.keys() != found.keys():
                raise CheckpointError(f"{folder / WEIGHTS} has other adapters than this run")
            for name, weight in own.items():
                weight.data.copy_(found[name])
        else:
            load_model(inner, str(folder / WEIGHTS))
        if self.average is not None:
            self.average.read(folder)


def steps_of(args: TrainingArguments, examples: int, step_size: int) -> int:
    """Return the number of optimiser steps: max_steps, or that of num_train_epochs."""
    if args.max_steps > 0:
        return int(args.max_steps)
    return max(1, math.ceil(args.num_train_epochs * examples / step_size))


def complete(folder: Path) -> list[Path]:
    """Return the complete checkpoints in a folder, the oldest first."""
    models = folder.glob(f"checkpoint-*/{MODEL}/unmask.json")
    found = {path.parent.parent.name.removeprefix("checkpoint-") for path in models}
    return [folder / f"checkpoint-{n}" for n in sorted(filter(str.isdecimal, found), key=int)]


def latest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in a folder; None if there is none."""
    return next(reversed(complete(folder)), None)


def keep_newest(folder: Path, limit: int | None) -> None:
    """Delete complete checkpoints but the newest `limit`; all are kept for None, 0 and −1."""
    for path in complete(folder)[: -limit if limit and limit > 0 else 0]:
        discard(path)


def discard_incomplete(folder: Path) -> None:
    """Delete checkpoints of a run of `train` that were cut off while they were written."""
    for path in set(folder.glob("checkpoint-*")) - set(complete(folder)):
        discard(path)


check_calls(__name__, "MaskedTrainer")
