"""Recipes: all settings of a training run except data and seed."""

from __future__ import annotations

import re
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
    learning_rate: Rate = 2e-3
    """highest learning rate; it falls to 0 by a cosine"""
    warmup_steps: Count = 100
    """steps until the highest learning rate; at most a tenth of all"""
    weight_decay: Rate = 0.05
    """weight decay of AdamW"""
    adam_beta2: BelowOne = 0.98
    """beta2 of AdamW"""
    max_grad_norm: Rate = 1.0
    """longer gradients are clipped to this norm"""
    ema_decay: BelowOne = 0.998
    """decay of the averaged weights, which are saved; 0: no averaging"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32 or bfloat16"""
    objective: Name = "complementary"
    """one of complementary, count, bernoulli, bernoulli_by_count, masked_mean, bert; or
    block_diffusion, for networks that generate block by block"""
    schedule: str = "linear"
    """mask-ratio schedule; the bound is the same for each"""
    padding: str = "auto"
    """auto (end_of_sequence for documents, so that lengths are learnt, else excluded), excluded,
    end_of_sequence, or block_fill(32) with blocks of 32 positions"""
    label_smoothing: BelowOne = 0.0
    """for the objective masked_mean only"""
    condition_dropout: BelowOne = 0.1
    """share of examples trained without their class"""
    warped: Annotated[tuple[Share, Share], Listed] = (0.0, 0.0)
    """share of warped digits at the first and the last step"""
    preset: dict[str, Any] = Field(default_factory=lambda: {"name": "random_order", "steps": 32})
    """preset that the model's card recommends"""
    samples: Count = 16
    """samples drawn in each tenth of a run, at most, to be looked at; 0: none"""
    held_out_rows: Count = 256
    """held-out examples measured in each tenth of a run, at most; 0: none"""
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
        schedules.resolve(self.schedule)
        padding_named(self.padding, 0)

    def loss(self) -> Objective:
        """Return the objective with its options bound."""
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
