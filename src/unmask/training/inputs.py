"""What `train` and `MaskedTrainer` are given, checked before any work."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from unmask.core.checks import (
    as_integer,
    check_count,
    check_flag,
    check_share,
    check_share_below_one,
    is_integer,
    is_number,
)
from unmask.core.head import illegal_ids, mask_id_of
from unmask.core.network import Denoiser, check_denoiser
from unmask.core.random import check_seed
from unmask.data import Corpus
from unmask.errors import DataError, InputError, SeedError, StrategyError
from unmask.models import ClassConditioned
from unmask.objectives import block_diffusion
from unmask.objectives.block_diffusion import check_has_blocks
from unmask.objectives.inputs import check_self_condition, kind_of
from unmask.training.base_model import Base
from unmask.training.processes import launched
from unmask.training.recipe import MOST, DataOptions, Recipe
from unmask.training.stream import SEEDS
from unmask.training.within import can_checkpoint

REFUSED = ("load_best_model_at_end", "data_seed")
CHECKPOINTED = ("activation_checkpointing", "gradient_checkpointing")  # newer and older name
KEPT = "about", "vocabulary", "training"  # of a card


def need(fits: bool, given: str, advice: str, kind: type[InputError] = StrategyError) -> None:
    """Raise an error on what was given unless it fits."""
    if not fits:
        raise kind(f"{given}: {advice}")


def is_function(value: object) -> bool:
    """Whether this can be called, and is no class."""
    return callable(value) and not isinstance(value, type)


def check_network(denoiser: Any) -> None:
    """Raise StrategyError or ModelError unless this is a denoiser with weights to train."""
    check_denoiser(denoiser)
    mask_id_of(denoiser.spec)
    weights = denoiser.parameters() if isinstance(denoiser, nn.Module) else ()
    need(
        any(weight.requires_grad for weight in weights),
        f"{type(denoiser).__name__} has no weights to train",
        "pass a wrapped nn.Module with parameters that require gradients",
    )


def check_classes(denoiser: Any, classes: Any, dropout: float) -> None:
    """Raise StrategyError for classes that are no number, or unknown to the network."""
    given = f"classes={classes!r}"
    need(is_integer(classes, 0), given, "pass how many there are, or 0 for none")
    known = denoiser.classes if isinstance(denoiser, ClassConditioned) else classes
    given += f" for a network of {known}"
    need(classes <= known, given, f"pass ClassConditioned(net, {classes})")
    check_share("condition_dropout", dropout)
    need(
        bool(classes) or not dropout,
        f"condition_dropout={dropout} without classes",
        "pass classes=, the number of classes of the examples, or leave it out",
    )


def check_rows(denoiser: Denoiser, padding: Any, length: Any, pad_id: Any) -> None:
    """Raise StrategyError for a padding policy, a length or an id that cannot work."""
    given, vocab = f"padding={padding!r}", denoiser.spec.vocab_size
    need(is_function(padding), given, "pass a policy of unmask.data.padding, such as Excluded()")
    if length is not None:
        check_count("length", length)
        most = denoiser.spec.max_length or length
        given_length = f"length={length} for a network of {most} positions"
        need(length <= most, given_length, f"pass at most {most}")
    fill = getattr(padding, "eos_id", None)
    need(
        fill is None or (fill in range(vocab) and fill not in illegal_ids(denoiser.spec)),
        f"{given} fills rows with id {fill!r}, which is the mask id, forbidden, or outside the "
        f"vocabulary of {vocab}",
        "pass an id that data may hold",
    )
    fits = is_integer(pad_id, 0) and pad_id < vocab
    need(fits, f"pad_id={pad_id!r}", f"pass an id from 0 to {vocab - 1}")


def check_objective(objective: Any, denoiser: Any) -> None:
    """Raise StrategyError unless this can be called as the objectives are, with this network."""
    advice = "pass a function of unmask.objectives, such as objectives.complementary"
    need(is_function(objective), f"objective={objective!r}", advice)
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
    while isinstance(objective, partial):
        objective = objective.func
    if objective is block_diffusion:
        check_has_blocks(denoiser)


def check_options(
    denoiser: Denoiser, self_condition: Any, ema_decay: Any, augment: Any, card: Any
) -> None:
    """Raise StrategyError for a share, a decay, a function or a card that cannot be used."""
    check_self_condition(denoiser, self_condition)
    check_share_below_one("ema_decay", ema_decay)
    fits = augment is None or callable(augment)
    need(fits, f"augment={augment!r}", "pass a function of tokens and classes, or None")
    fits = card is None or (isinstance(card, Mapping) and card.keys() <= set(KEPT))
    need(fits, f"card={card!r}", f"pass a dict with {', '.join(KEPT)}, as for save")


def checked_callbacks(callbacks: Any) -> Sequence[Any]:
    """Return callbacks of Trainer, or classes of them. Raises StrategyError for anything else."""
    from transformers import TrainerCallback

    given = [] if callbacks is None else callbacks
    several = given if isinstance(given, list | tuple) else [given]
    kinds = {each if isinstance(each, type) else type(each) for each in several}
    fits = several is given and all(issubclass(kind, TrainerCallback) for kind in kinds)
    need(fits, f"callbacks={callbacks!r}", "pass a list of transformers' TrainerCallback")
    return several


def check_sizes(args: Any) -> None:
    """Raise StrategyError unless these are TrainingArguments with possible sizes and seed."""
    from transformers import TrainingArguments

    advice = "pass transformers.TrainingArguments(output_dir, max_steps=1000)"
    need(isinstance(args, TrainingArguments), f"args={args!r:.80}", advice)
    steps, epochs = args.max_steps, args.num_train_epochs
    need(as_integer(steps) is not None, f"max_steps={steps!r}", "pass an integer")
    fits = steps > 0 or (is_number(epochs) and epochs > 0)
    need(fits, f"num_train_epochs={epochs!r}", "pass a number above 0, or max_steps=")
    check_training_seed(args.seed)
    sizes = ("per_device_train_batch_size", "gradient_accumulation_steps")
    for name in sizes:
        check_count(name, getattr(args, name))
    for name in ("max_steps", *sizes):
        number = getattr(args, name)
        need(number < MOST, f"{name}={number}", f"pass a number below {MOST}")


def check_checkpointing(denoiser: Any, args: Any) -> None:
    """Raise StrategyError for layers that are to be computed twice and cannot be."""
    for name in CHECKPOINTED:
        how = getattr(args, f"{name}_kwargs", None) or {}
        asked = bool(getattr(args, name, None))
        need(
            not asked or can_checkpoint(denoiser),
            f"{name}=True, and the network of {type(denoiser).__name__} is none of transformers "
            "that can do so",
            "leave it out",
        )
        need(not how.get("use_reentrant"), f"{name}_kwargs={how!r}", "leave use_reentrant out")


def check_arguments(args: Any) -> None:
    """Raise StrategyError for TrainingArguments that would change the loss of a step."""
    for name in REFUSED:
        given = f"{name}={getattr(args, name, None)} does not work with MaskedTrainer"
        need(not getattr(args, name, None), given, "leave it out")
    need(
        args.average_tokens_across_devices,
        "average_tokens_across_devices=False would weigh processes instead of tokens",
        "leave it True",
    )
    need(
        not args.label_smoothing_factor,
        "label_smoothing_factor is for Trainer's own loss",
        "pass objective=partial(objectives.masked_mean, label_smoothing=...)",
    )
    need(
        launched() == args.world_size,
        f"{launched()} processes were launched and TrainingArguments knows of {args.world_size}, "
        "so each would train alone",
        "on a machine without an accelerator pass use_cpu=True",
    )


def check_training_seed(seed: Any) -> None:
    """Raise SeedError unless this is a seed that numpy's generator takes, too."""
    fits = 0 <= check_seed(seed) < SEEDS
    need(
        fits, f"seed={seed!r}", "pass an integer from 0 to 2**32 - 1 for a training run", SeedError
    )


def check_out(out: Any) -> Path:
    """Return the folder of a finished model. Raises InputError for a name that can be none."""
    fits, given = isinstance(out, str | Path) and bool(str(out)), f"out={str(out)!r}"
    need(fits, f"out={out!r}", "pass the name of a folder, such as 'runs/mine'", InputError)
    target = Path(out).resolve()
    parent = next(each for each in target.parents if each.exists())
    need(parent.is_dir(), f"{given}: {parent} is a file", "pass another folder", InputError)
    return target


def check_call(
    data: Any,
    base: Any,
    recipe: Any,
    resume: Any,
    overwrite: Any,
    steps: Any,
    deadline: Any,
    report: Any,
) -> None:
    """Raise an InputError for arguments of `train` of another kind."""
    path = isinstance(data, Path) or (isinstance(data, str) and Path(data).exists())
    given = f"data={str(data)!r}"
    need(not path, f"{given} is a path", f"pass unmask.data.read({str(data)!r})", DataError)
    need(
        isinstance(data, str | Corpus),
        f"data is {kind_of(data)}",
        "pass a built-in task, such as 'shidoku', or a Corpus of unmask.data.read(PATH)",
        DataError,
    )
    fits = base is None or isinstance(base, Base)
    need(fits, f"base={base!r:.80}", "pass a Base, such as Base('GSAI-ML/LLaDA-8B-Instruct')")
    fits = recipe is None or isinstance(recipe, Recipe)
    need(fits, f"recipe={recipe!r:.80}", "pass a Recipe, such as Recipe(steps=500)")
    if steps is not None:
        check_count("steps", steps)
    fits = deadline is None or (isinstance(deadline, int | float) and math.isfinite(deadline))
    need(fits, f"deadline={deadline!r}", "pass seconds of time.monotonic(), or None")
    check_flag("resume", resume)
    check_flag("overwrite", overwrite)
    fits = report is None or callable(report)
    need(fits, f"report={report!r}", "pass a function of a training.Progress, or None", InputError)


def check_data_options(data: str | Corpus, how: DataOptions) -> None:
    """Raise StrategyError for options of a recipe by which the data was not read.

    Of `column` a corpus does not tell.
    """
    if isinstance(data, str):
        given = f"data.* sets how --data is read, and {data} is built in"
        return need(how == DataOptions(), given, "leave it out")
    kind, size = data.vocabulary.kind, data.vocabulary.size
    positions = data.longest if data.stream else max(data.longest, how.length or 0)
    differs = {
        "tokenizer": how.tokenizer not in (None, data.tokenizer),
        "vocab_size": kind != "bytes" and how.vocab_size not in (None, size),
        "length": how.length not in (None, positions),
        "documents": how.documents and not data.documents,
        "shape": how.shape not in (None, data.shape),
    }
    for name, wrong in differs.items():
        given = f"data.{name}={getattr(how, name)!r} in the recipe of a corpus read without"
        need(not wrong, given, f"pass {name}= to unmask.data.read, or leave it out of the recipe")
