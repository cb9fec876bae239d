"""Recipes: all settings of a training run except data and seed."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from unmask import objectives, schedules
from unmask.data.padding import BlockFill, EndFill, Excluded, Policy
from unmask.errors import InputError, StrategyError, nearest
from unmask.presets import by_name
from unmask.training.model import Objective
from unmask.training.settings import settings

Name = Literal[
    "complementary", "count", "bernoulli", "bernoulli_by_count", "block_diffusion", "masked_mean",
    "bert",
]  # fmt: skip
MOST = 2**31  # above any number of steps or rows
Count = Annotated[int, Field(ge=0, lt=MOST)]
Positive = Annotated[int, Field(ge=1, lt=MOST)]
Rate = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PRESET = {"name": "random_order", "steps": 32}
USUAL = {"new": (2e-3, 0.998), "base": (2e-5, 0.0), "lora": (2e-4, 0.0)}
"""Learning rate and decay of averages, by what is trained."""
Listed = Strict(False)  # files have lists where Python has tuples


@settings
class DataOptions:
    """Options for reading data."""

    tokenizer: str | None = None
    """folder or file of a tokenizer, or bpe:4096 to train one of so many ids on the text; null:
    text is read as bytes"""
    vocab_size: int | None = None
    """number of ids; null: the highest id in the data + 1"""
    column: str | None = None
    """column or array to read, if there are several"""
    length: int | None = None
    """positions of an example; null: 128 for a stream of text"""
    documents: bool = False
    """true: each row or line is one example, not cut into windows"""
    shape: Annotated[tuple[int, int], Listed] | None = None
    """[height, width] of images stored as rows; null: rows are no images, or say it"""
    held_out: float = 0.1
    """share of the data that is used for measurement only"""
    turns: Literal["auto", "each", "together"] = "auto"
    """of talks: each answer is a row of its own, which ends there, or all are learnt together in
    one row; auto: together where attention is block-causal, so that none sees what comes later"""
    longer: Literal["refuse", "leave_out", "cut"] = "refuse"
    """what is done with talks of more than `length` tokens, or the model's positions"""


@settings
class BaseOptions:
    """The model that a fine-tuning begins with."""

    model: str | None = None
    """name, folder or repository of a model to train further; null: a new network"""
    family: str | None = None
    """its kind, if its files do not say it, as of unmask.load"""
    mask_id: Count | None = None
    """id of unknown positions, if its files do not say it"""
    block: Positive | None = None
    """positions of a block, if its files do not say it; of a model to be converted null: attention
    to all positions"""
    convert: bool = False
    """true: it is a left-to-right model, which is made a masked one first, as by unmask.convert"""
    logit_shift: bool | None = None
    """of a model to be converted: whether the logits of a position stay at the one before it; null:
    they do"""
    revision: str | None = None
    """branch, tag or commit of a repository"""
    trust_remote_code: bool = False
    """true: code of the model's authors may run"""
    tokenizer: str | None = None
    """folder or file of a tokenizer in place of the model's own"""
    dtype: Literal["bfloat16", "float16", "float32", "auto"] | None = None
    """of its weights; null: float32, or with adapters that of its files"""


@settings
class LoraOptions:
    """Adapters in place of the model's weights (LoRA 2106.09685)."""

    rank: Count = 0
    """rank of the adapters; 0: none, all weights are trained"""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """their scale times the rank; null: twice the rank"""
    dropout: BelowOne = 0.0
    """share of their inputs that is dropped in training"""
    targets: Annotated[tuple[str, ...], Listed] = ()
    """names of the layers that have them; empty: all linear layers but the head"""


@settings
class Recipe:
    """The settings of a network and its training. Every field is a key of a recipe file.

    Raises StrategyError for values out of range, or that contradict each other.
    """

    backbone: dict[str, Any] = Field(default_factory=dict)
    """a transformers model_type and options of its config; empty: a small network"""
    steps: Positive = 1000
    """optimiser steps"""
    batch_size: Positive = 16
    """examples in an optimiser step, over all processes and pieces"""
    pieces: Positive = 1
    """parts that a batch is computed in, to save memory"""
    learning_rate: Rate | None = None
    """highest learning rate; it falls to 0 by a cosine; null: 2e-3 for a new network, 2e-5 for a
    base, 2e-4 for adapters"""
    warmup_steps: Count = 100
    """steps until the highest learning rate; at most a tenth of all"""
    weight_decay: Rate = 0.05
    """weight decay of AdamW"""
    adam_beta2: BelowOne = 0.98
    """beta2 of AdamW"""
    max_grad_norm: Rate = 1.0
    """longer gradients are clipped to this norm"""
    ema_decay: BelowOne | None = None
    """decay of the averaged weights, which are saved; 0: no averaging; null: 0.998 for a new
    network, 0 for a base"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32 or bfloat16"""
    stored: Literal["float32", "bfloat16", "float16"] = "float32"
    """dtype of a new network's weights in its folder; they are opened as float32"""
    gradient_checkpointing: bool = False
    """true: layers are computed twice, to save memory; the gradient is the same"""
    objective: Name | None = None
    """one of complementary, count, bernoulli, bernoulli_by_count, masked_mean, bert; or
    block_diffusion, for networks that generate block by block; null: this for a base with blocks,
    else complementary"""
    schedule: str = "linear"
    """mask-ratio schedule; the bound is the same for each"""
    padding: str = "auto"
    """auto (end_of_sequence for documents, so that lengths are learnt, else excluded; of a base,
    that of its family), excluded, end_of_sequence, or block_fill(32) with blocks of 32 positions"""
    label_smoothing: BelowOne = 0.0
    """for the objective masked_mean only"""
    condition_dropout: BelowOne = 0.1
    """share of examples trained without their class"""
    warped: Annotated[tuple[Share, Share], Listed] = (0.0, 0.0)
    """share of warped digits at the first and the last step"""
    preset: dict[str, Any] = Field(default_factory=lambda: dict(PRESET))
    """preset that the model's card recommends; the default of a base is its own"""
    packed: Annotated[int, Field(ge=2, lt=MOST)] | None = None
    """positions of rows that several examples share, without attention between them; null: each has
    a row of its own"""
    anneal_steps: Count = 0
    """first steps, in which the attention of a model to be converted opens gradually; 0: it is
    open at once"""
    samples: Count = 16
    """samples drawn in each tenth of a run, at most, to be looked at; 0: none"""
    held_out_rows: Count = 256
    """held-out examples measured in each tenth of a run, at most; 0: none"""
    base: BaseOptions = BaseOptions()
    """model that is trained further, in place of a new network"""
    lora: LoraOptions = LoraOptions()
    """adapters that are trained in place of its weights"""
    data: DataOptions = DataOptions()
    """how --data is read"""

    def __post_init__(self) -> None:
        try:
            by_name.build(*by_name.name_and_options(self.preset))
        except InputError as error:
            raise StrategyError(f"preset={self.preset}: {error}") from None
        if self.label_smoothing and self.objective != "masked_mean":
            raise StrategyError(
                f"label_smoothing={self.label_smoothing} with objective={self.objective}: a "
                "smoothed loss is no bound; pass objective=masked_mean, or leave it out"
            )
        if self.batch_size % self.pieces:
            raise StrategyError(
                f"batch_size={self.batch_size} is not a multiple of pieces={self.pieces}: pass one"
            )
        if self.anneal_steps > self.steps:
            raise StrategyError(
                f"anneal_steps={self.anneal_steps} of steps={self.steps}: attention would never be "
                "open; pass more steps, or fewer anneal_steps"
            )
        if self.anneal_steps and self.packed:
            raise StrategyError(
                f"anneal_steps={self.anneal_steps} with packed={self.packed}: attention that opens "
                "is drawn for rows, not for examples that share one; leave one of them out"
            )
        schedules.resolve(self.schedule)
        padding_named(self.padding, 0)

    def _check_base(self) -> None:
        """Raise StrategyError for settings of a base without one, and of a new network beside."""
        given = {"backbone": self.backbone, "data.tokenizer": self.data.tokenizer}
        for name, value in given.items() if self.base.model is not None else ():
            if value:
                raise StrategyError(
                    f"{name}={value!r} beside base.model={self.base.model!r}: network and "
                    "tokenizer are the model's; leave it out, or pass base.tokenizer "
                    "(--tokenizer) where the model has none"
                )
        if self.base.model is not None:
            if self.stored != "float32":
                raise StrategyError(
                    f"stored={self.stored!r} beside base.model={self.base.model!r}, whose weights "
                    "are stored as they are trained: pass base.dtype (--dtype), or leave it out"
                )
            if self.anneal_steps and not self.base.convert:
                raise StrategyError(
                    f"anneal_steps={self.anneal_steps}, and the attention of "
                    f"{self.base.model} is open already: leave it out, or pass base.convert=true "
                    "(--convert), if it is a left-to-right model"
                )
            return
        said = asdict(self.base).items()
        named = [
            f"base.{name}={value!r}"
            for name, value in said
            if value is not None and value is not False
        ]
        named += [f"lora.rank={self.lora.rank}"] if self.lora.rank else []
        named += [f"anneal_steps={self.anneal_steps}"] if self.anneal_steps else []
        if named:
            name = named[0]
            raise StrategyError(
                f"{name} without a model to train further: pass base.model (--from MODEL)"
            )
        if self.data.turns != "auto" or self.data.longer != "refuse":
            raise StrategyError(
                "data.turns and data.longer are about talks, which become ids by a model's own "
                "tokenizer: pass base.model (--from MODEL), or leave them out"
            )

    def settled(self, block: int | None = None) -> Recipe:
        """Return the recipe with the values that null stands for.

        block: positions of a block of the base, None for a network that attends to all positions.
        Raises StrategyError for settings that belong to a base, or to a new network, where the
        recipe is of the other.
        """
        self._check_base()
        trained = "lora" if self.lora.rank else "base" if self.base.model is not None else "new"
        rate, decay = USUAL[trained]
        usual: Name = "complementary" if block is None else "block_diffusion"
        return replace(
            self,
            objective=usual if self.objective is None else self.objective,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            ema_decay=decay if self.ema_decay is None else self.ema_decay,
        )

    def loss(self) -> Objective:
        """Return the objective of a settled recipe with its options bound."""
        assert self.objective is not None
        options: dict[str, Any] = {"schedule": self.schedule}
        if self.objective == "masked_mean":
            options["label_smoothing"] = self.label_smoothing
        return partial(getattr(objectives, self.objective), **options)


def padding_named(name: str, eos_id: int | None, documents: bool = False) -> Policy:
    """Return a padding policy by its name in a recipe. Raises StrategyError for an unknown one.

    documents: whether `auto` shall teach where examples end, if they have an eos_id.
    """
    block = re.fullmatch(r"block_fill\((\d+)\)", name)
    known = ("auto", "excluded", "end_of_sequence", "block_fill(32)")
    if name not in known[:3] and not block:
        raise StrategyError(f"padding={name!r}: {nearest(name, known)}")
    if name == "auto":
        return EndFill(eos_id) if documents and eos_id is not None else Excluded()
    if name == "excluded":
        return Excluded()
    if eos_id is None:
        raise StrategyError(
            f"padding={name!r} needs an end-of-sequence id, and the vocabulary has none: pass a "
            "tokenizer that has one, or padding=excluded"
        )
    return BlockFill(eos_id, int(block[1])) if block else EndFill(eos_id)
