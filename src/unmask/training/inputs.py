"""What `train` and `MaskedTrainer` are given, checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from unmask.core.checks import as_integer, check_count, check_share, is_integer, is_number
from unmask.core.head import illegal_ids, mask_id_of
from unmask.core.network import Denoiser, check_denoiser
from unmask.core.random import check_seed
from unmask.data import Corpus
from unmask.errors import DataError, InputError, SeedError, StrategyError
from unmask.models import ClassConditioned
from unmask.objectives.inputs import check_self_condition, kind_of
from unmask.training.recipe import Recipe
from unmask.training.stream import SEEDS


def check_network(denoiser: Any) -> None:
    """Raise StrategyError or ModelError unless this is a denoiser with weights to train."""
    check_denoiser(denoiser)
    mask_id_of(denoiser.spec)
    weights = denoiser.parameters() if isinstance(denoiser, nn.Module) else ()
    if not any(weight.requires_grad for weight in weights):
        raise StrategyError(
            f"{type(denoiser).__name__} has no weights to train: pass a wrapped nn.Module with "
            "parameters that require gradients"
        )


def check_classes(denoiser: Any, classes: Any, dropout: float) -> None:
    """Raise StrategyError for classes that are no number, or unknown to the network."""
    if not is_integer(classes, 0):
        raise StrategyError(f"classes={classes!r}: pass how many there are, or 0 for none")
    known = denoiser.classes if isinstance(denoiser, ClassConditioned) else classes
    if classes > known:
        raise StrategyError(
            f"classes={classes} for a network of {known}: pass ClassConditioned(net, {classes})"
        )
    check_share("condition_dropout", dropout)
    if dropout and not classes:
        raise StrategyError(
            f"condition_dropout={dropout} without classes: pass classes=, the number of classes of "
            "the examples, or leave it out"
        )


def check_rows(denoiser: Denoiser, padding: Any, length: Any, pad_id: Any) -> None:
    """Raise StrategyError for a padding policy, a length or an id that cannot work."""
    if isinstance(padding, type | str) or not callable(padding):
        raise StrategyError(
            f"padding={padding!r}: pass a policy of unmask.data.padding, such as Excluded()"
        )
    if length is not None:
        check_count("length", length)
    most = denoiser.spec.max_length
    if length is not None and most is not None and length > most:
        raise StrategyError(
            f"length={length} for a network of {most} positions: pass at most {most}"
        )
    legal = set(range(denoiser.spec.vocab_size)) - set(illegal_ids(denoiser.spec))
    fill = getattr(padding, "eos_id", None)
    if fill is not None and fill not in legal:
        raise StrategyError(
            f"padding={padding!r} fills rows with id {fill!r}, which is the mask id, forbidden, or "
            f"outside the vocabulary of {denoiser.spec.vocab_size}: pass an id that data may hold"
        )
    if not is_integer(pad_id, 0) or pad_id >= denoiser.spec.vocab_size:
        raise StrategyError(
            f"pad_id={pad_id!r}: pass an id from 0 to {denoiser.spec.vocab_size - 1}"
        )


def check_objective(objective: Any) -> None:
    """Raise StrategyError unless this can be called as the objectives are."""
    advice = "pass a function of unmask.objectives, such as objectives.complementary"
    if isinstance(objective, type) or not callable(objective):
        raise StrategyError(f"objective={objective!r}: {advice}")
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):  # of a function without a signature nothing is known
        return
    named = dict.fromkeys(("time", "valid", "condition", "self_condition"))
    try:
        signature.bind(None, None, None, None, **named)
    except TypeError as error:
        raise StrategyError(
            f"objective={objective!r} cannot be called with (denoiser, tokens, maskable, seed, "
            f"time=, valid=, condition=, self_condition=): {error}; {advice}"
        ) from None


def check_options(
    denoiser: Denoiser, self_condition: Any, ema_decay: Any, augment: Any, card: Any
) -> None:
    """Raise StrategyError for a share, a decay, a function or a card that cannot be used."""
    check_self_condition(denoiser, self_condition)
    if augment is not None and not callable(augment):
        raise StrategyError(f"augment={augment!r}: pass a function of tokens and classes, or None")
    if not is_number(ema_decay) or not 0 <= ema_decay < 1:
        raise StrategyError(f"ema_decay={ema_decay!r}: pass a number in (0, 1), or 0 for none")
    known = ("about", "vocabulary", "training")
    if card is not None and not (isinstance(card, Mapping) and card.keys() <= set(known)):
        raise StrategyError(f"card={card!r}: pass a dict with {', '.join(known)}, as for save")


def check_steps(args: Any, measured: bool) -> None:
    """Raise StrategyError unless these are TrainingArguments with sizes that can be trained by.

    measured: whether there are held-out examples.
    """
    from transformers import TrainingArguments

    if not isinstance(args, TrainingArguments):
        raise StrategyError(
            f"args={args!r:.80}: pass transformers.TrainingArguments(output_dir, max_steps=1000)"
        )
    if as_integer(args.max_steps) is None:
        raise StrategyError(f"max_steps={args.max_steps!r}: pass an integer")
    if args.max_steps <= 0 and not (is_number(args.num_train_epochs) and args.num_train_epochs > 0):
        raise StrategyError(
            f"num_train_epochs={args.num_train_epochs!r}: pass a number above 0, or max_steps="
        )
    check_training_seed(args.seed)
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        check_count(name, getattr(args, name))
    if args.eval_strategy != "no" and not measured:
        raise StrategyError(
            f"eval_strategy={str(args.eval_strategy)!r} without examples to "
            "measure on: pass held_out="
        )


def check_training_seed(seed: Any) -> None:
    """Raise SeedError unless this is a seed that numpy's generator takes, too."""
    if not 0 <= check_seed(seed) < SEEDS:
        raise SeedError(f"seed={seed!r}: pass an integer from 0 to 2**32 - 1 for a training run")


def check_out(out: Any) -> Path:
    """Return the folder of a finished model. Raises InputError for a name that can be none."""
    if not isinstance(out, str | Path) or not str(out):
        raise InputError(f"out={out!r}: pass the name of a folder, such as 'runs/mine'")
    target = Path(out).resolve()
    for parent in target.parents:
        if parent.exists():
            if not parent.is_dir():
                raise InputError(f"out={str(out)!r}: {parent} is a file; pass another folder")
            break
    return target


def check_call(
    data: Any, recipe: Any, resume: Any, overwrite: Any, steps: Any, report: Any
) -> None:
    """Raise an InputError for arguments of `train` of another kind."""
    if isinstance(data, Path) or (isinstance(data, str) and Path(data).exists()):
        raise DataError(f"data={str(data)!r} is a path: pass unmask.data.read({str(data)!r})")
    if not isinstance(data, str | Corpus):
        raise DataError(
            f"data is {kind_of(data)}: pass a built-in task, such as 'shidoku', or a Corpus of "
            "unmask.data.read(PATH)"
        )
    if recipe is not None and not isinstance(recipe, Recipe):
        raise StrategyError(f"recipe={recipe!r:.80}: pass a Recipe, such as Recipe(steps=500)")
    if steps is not None and (as_integer(steps) or 0) < 1:
        raise StrategyError(f"steps={steps!r}: pass an integer of 1 or more")
    for name, flag in (("resume", resume), ("overwrite", overwrite)):
        if not isinstance(flag, bool):
            raise InputError(f"{name}={flag!r}: pass True or False")
    if report is not None and not callable(report):
        raise InputError(f"report={report!r}: pass a function of a training.Progress, or None")
