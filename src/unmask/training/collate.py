"""Batches from drawn examples: padded, with the seeds and times that determine their masks.

B examples, N positions, G examples of one optimiser step over all processes and pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.core.random import fold
from unmask.data import Example
from unmask.data.padding import Padded, Padding
from unmask.errors import StrategyError
from unmask.objectives import drop_condition
from unmask.objectives.corruption import slot_times
from unmask.objectives.inputs import kind_of
from unmask.training.examples import ExampleRules
from unmask.training.stream import Draw

IGNORED = -100  # transformers' label of positions in no loss
NO_CLASS = -1

Augment = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""A function (tokens (B,N), classes (B,) or −1, seeds (B,), progress 0..1) -> tokens, classes."""


@dataclass(frozen=True)
class Collator:
    """A collate function that makes batches for `MaskedModel`; it can be pickled for workers."""

    seed: int
    step_size: int  # G
    steps: int
    padding: Padding
    pad_id: int
    length: int | None = None  # pad to this; None: to the longest of the batch
    classes: int = 0
    condition_dropout: float = 0.0
    augment: Augment | None = None
    rules: ExampleRules | None = None  # of examples that no one has checked

    def __call__(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        """Return tokens, labels (−100 in no loss), valid: (B,N); seed, time: (B,); and condition.

        The masks of draw n depend on (run seed, n); times are stratified over the G rows of a step.
        condition, (B,) class numbers, is there only if the data has classes or is augmented.
        """
        if self.rules is not None:
            self.rules.check("the example of draw", draws)
        number = torch.tensor([n for n, _ in draws])
        examples = [example for _, example in draws]
        rows = self.padded(examples)
        seed = fold(self.seed, number)
        tokens, condition = rows.tokens, None
        if self.classes:
            classes = [NO_CLASS if e.category is None else e.category for e in examples]
            condition = drop_condition(torch.tensor(classes), seed, self.condition_dropout)
        if self.augment is not None:
            progress = float(number[0] // self.step_size) / self.steps
            tokens, condition = self.augment(
                tokens,
                torch.full_like(seed, NO_CLASS) if condition is None else condition,
                seed,
                progress,
            )
            if not isinstance(tokens, Tensor) or tokens.shape != rows.tokens.shape:
                raise StrategyError(
                    f"augment={self.augment!r} returned {kind_of(tokens)} for tokens of shape "
                    f"{tuple(rows.tokens.shape)}: return tokens of that shape, and classes"
                )
        batch = {
            "tokens": tokens,
            "labels": tokens.masked_fill(~rows.maskable, IGNORED),
            "valid": rows.valid,
            "seed": seed,
            "time": slot_times(seed, number % self.step_size, self.step_size),
        }
        return batch if condition is None else batch | {"condition": condition}

    def padded(self, examples: Sequence[Example]) -> Padded:
        """Return the examples as rows of one length."""
        rows = self.padding(
            [e.tokens for e in examples], [e.maskable for e in examples], self.length, self.pad_id
        )
        if not isinstance(rows, Padded):
            raise StrategyError(
                f"padding={self.padding!r} returned {kind_of(rows)}: return a data.padding.Padded"
            )
        return rows
