"""Recipes: all settings of a training run except data and seed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from unmask import objectives, schedules
from unmask.data.padding import BlockFill, EndFill, Excluded, Policy
from unmask.errors import InputError, StrategyError, nearest
from unmask.presets import by_name
from unmask.training.model import Objective
from unmask.training.setting_values import checked_fields

OBJECTIVES = (
    "complementary", "count", "bernoulli", "bernoulli_by_count", "masked_mean", "bert"
)  # fmt: skip
PRECISIONS = ("float32", "bfloat16")
MOST = 2**31  # above any number of steps or rows


def _option(default: Any, text: str, **limits: float) -> Any:
    """Return a field with a default, the comment that `unmask init` writes beside it, and limits.

    limits: ge, the least value, and lt, above the highest.
    """
    metadata = {"help": text, **limits}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DataOptions:
    """Options for reading data."""

    tokenizer: str | None = _option(
        None, "folder or file of a tokenizer; null: text is read as bytes"
    )
    vocab_size: int | None = _option(None, "number of ids; null: the highest id in the data + 1")
    column: str | None = _option(None, "column or array to read, if there are several")
    length: int | None = _option(None, "positions of an example; null: 128 for a stream of text")
    documents: bool = _option(False, "true: each row or line is one example, not cut into windows")
    shape: tuple[int, int] | None = _option(
        None, "[height, width] of images stored as rows; null: rows are no images, or say it"
    )
    held_out: float = _option(0.1, "share of the data that is used for measurement only")


@dataclass(frozen=True)
class Recipe:
    """The settings of a network and its training. Every field is a key of a recipe file.

    Raises StrategyError for values out of range, or that contradict each other.
    """

    backbone: dict[str, Any] = _option(
        {}, "a transformers model_type and options of its config; empty: a small network"
    )
    steps: int = _option(1000, "optimiser steps", ge=1, lt=MOST)
    batch_size: int = _option(
        16, "examples in an optimiser step, over all processes and pieces", ge=1, lt=MOST
    )
    pieces: int = _option(1, "parts that a batch is computed in, to save memory", ge=1, lt=MOST)
    learning_rate: float = _option(2e-3, "highest learning rate; it falls to 0 by a cosine", ge=0)
    warmup_steps: int = _option(
        100, "steps until the highest learning rate; at most a tenth of all", ge=0, lt=MOST
    )
    weight_decay: float = _option(0.05, "weight decay of AdamW", ge=0)
    adam_beta2: float = _option(0.98, "beta2 of AdamW", ge=0, lt=1)
    max_grad_norm: float = _option(1.0, "longer gradients are clipped to this norm", ge=0)
    ema_decay: float = _option(
        0.998, "decay of the averaged weights, which are saved; 0: no averaging", ge=0, lt=1
    )
    precision: str = _option("float32", "float32 or bfloat16")
    objective: str = _option("complementary", "one of " + ", ".join(OBJECTIVES))
    schedule: str = _option("linear", "mask-ratio schedule; the bound is the same for each")
    padding: str = _option(
        "auto",
        "auto (end_of_sequence for documents, so that lengths are learnt, else excluded), "
        "excluded, end_of_sequence, or block_fill(32) with blocks of 32 positions",
    )
    label_smoothing: float = _option(0.0, "for the objective masked_mean only", ge=0, lt=1)
    condition_dropout: float = _option(
        0.1, "share of examples trained without their class", ge=0, lt=1
    )
    warped: tuple[float, float] = _option(
        (0.0, 0.0), "share of warped digits at the first and the last step"
    )
    preset: dict[str, Any] = _option(
        {"name": "random_order", "steps": 32}, "preset that the model's card recommends"
    )
    samples: int = _option(
        16, "samples drawn in each tenth of a run, at most, to be looked at; 0: none", ge=0, lt=MOST
    )
    held_out_rows: int = _option(
        256, "held-out examples measured in each tenth of a run, at most; 0: none", ge=0, lt=MOST
    )
    data: DataOptions = _option(DataOptions(), "how --data is read")

    def __post_init__(self) -> None:
        for name, value in checked_fields(self).items():
            object.__setattr__(self, name, value)
        if not all(0 <= share <= 1 for share in self.warped):
            raise StrategyError(f"warped={self.warped}: pass two shares in [0, 1]")
        _check_preset(self.preset)
        for name, known in (("objective", OBJECTIVES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                hint = nearest(str(getattr(self, name)), known)
                raise StrategyError(f"{name}={getattr(self, name)!r}: {hint}")
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
        function = getattr(objectives, self.objective)
        options: dict[str, Any] = {"schedule": self.schedule}
        if self.objective == "masked_mean":
            options["label_smoothing"] = self.label_smoothing
        bound: Objective = partial(function, **options)
        return bound


def _check_preset(preset: dict[str, Any]) -> None:
    """Raise StrategyError for a preset that the finished model could not recommend."""
    try:
        by_name.build(*by_name.name_and_options(preset))
    except InputError as error:
        raise StrategyError(f"preset={preset}: {error}") from None


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
