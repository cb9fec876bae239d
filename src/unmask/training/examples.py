"""Rules of training examples, and the check of those that a run is given. n positions of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask.core.checks import as_integer
from unmask.core.head import illegal_ids
from unmask.core.ids import are_integers
from unmask.core.network import Denoiser
from unmask.data import Corpus, Example
from unmask.errors import DataError
from unmask.objectives.inputs import kind_of
from unmask.training.stream import spread

CHECKED = 2**17  # examples checked before a run, spread evenly; all are checked as they are drawn
AT_ONCE = 1024
EXAMPLES = (
    "pass a Corpus of unmask.data.read(PATH), or a list of unmask.data.Example(tokens, maskable)"
)


@dataclass(frozen=True)
class ExampleRules:
    """What an example may hold: ids of the vocabulary that are data, classes, and its length."""

    vocab: int
    illegal: tuple[int, ...]
    classes: int
    longest: int | None

    def check(self, what: str, numbered: Iterable[tuple[int, Example]]) -> bool:
        """Raise DataError for the first that breaks a rule; return whether any may be hidden."""
        pairs = iter(numbered)
        free = False
        while part := list(islice(pairs, AT_ONCE)):
            for number, example in part:
                self._check_kinds(f"{what} {number}", example)
            tokens = torch.cat([example.tokens for _, example in part])
            maskable = torch.cat([example.maskable for _, example in part])
            free |= bool(maskable.any())
            outside = (tokens < 0) | (tokens >= self.vocab)
            never = torch.isin(tokens, torch.tensor(self.illegal)) & maskable
            for wrong, why in (
                (outside, f"is outside the vocabulary of {self.vocab}"),
                (never, "is the mask id or a forbidden one, which no data may hold"),
            ):
                if bool(wrong.any()):
                    raise DataError(_where(what, part, int(wrong.nonzero()[0]), why))
        return free

    def _check_kinds(self, name: str, example: object) -> None:
        if not isinstance(example, Example):
            raise DataError(f"{name} is {kind_of(example)}: {EXAMPLES}")
        tokens, maskable = example.tokens, example.maskable
        right = isinstance(tokens, Tensor) and tokens.dim() == 1 and are_integers(tokens)
        if not right or not len(tokens):
            raise DataError(
                f"tokens of {name} is {kind_of(tokens)}: pass an int64 tensor of shape (n,), "
                "with one token or more"
            )
        right = isinstance(maskable, Tensor) and maskable.shape == tokens.shape
        if not right or maskable.dtype != torch.bool:
            raise DataError(
                f"maskable of {name} is {kind_of(maskable)}: pass a bool tensor of shape "
                f"({len(tokens)},), one for each token"
            )
        if self.longest is not None and len(tokens) > self.longest:
            raise DataError(
                f"{name} has {len(tokens)} tokens, more than the {self.longest} positions of the "
                "network or of length=: cut it, or pass a network with more positions"
            )
        number = example.category
        found = as_integer(number)
        if number is not None and (found is None or not 0 <= found < self.classes):
            raise DataError(
                f"category of {name} is {number!r} and classes={self.classes}: pass classes=, the "
                "highest class + 1, and categories that count from 0, or None"
            )


def _where(what: str, part: Sequence[tuple[int, Example]], flat: int, why: str) -> str:
    """Return the message on the token of this place in the examples joined."""
    ends = np.cumsum([len(example.tokens) for _, example in part])
    row = int(np.searchsorted(ends, flat, side="right"))
    number, example = part[row]
    position = flat - int(ends[row]) + len(example.tokens)
    found = int(example.tokens[position])
    return (
        f"id {found} of {what} {number}, position {position}, {why}: leave it out of the data, or "
        "wrap the network with the vocabulary of the data"
    )


def checked_examples(
    name: str, given: Any, rules: ExampleRules, *, filled: bool = False
) -> Sequence[Example]:
    """Return a sequence of examples, or those of a corpus.

    filled: whether padding is learnt, so that a prompt alone has something to learn. Raises
    DataError for another kind, and for examples that break the rules or leave nothing to hide.
    """
    found = given.examples if isinstance(given, Corpus) else given
    other = isinstance(found, str | bytes | Path | Mapping | Tensor | np.ndarray)
    if other or not (hasattr(found, "__len__") and hasattr(found, "__getitem__")):
        shown = repr(found) if isinstance(found, str | Path) else kind_of(found)
        raise DataError(f"{name} is {shown}: {EXAMPLES}")
    if not len(found):
        raise DataError(f"{name}: there are no examples; pass one or more")
    chosen = spread(len(found), CHECKED)
    free = rules.check(f"{name}: example", ((i, found[i]) for i in chosen))
    if not free and not filled and len(chosen) == len(found):
        raise DataError(
            f"{name}: maskable is False everywhere, so there is nothing to learn; make it True at "
            "the tokens that may be hidden"
        )
    return found


def rules_of(denoiser: Denoiser, classes: int, length: int | None) -> ExampleRules:
    """Return the rules of the examples for a network."""
    spec = denoiser.spec
    limits = [limit for limit in (length, spec.max_length) if limit is not None]
    return ExampleRules(spec.vocab_size, illegal_ids(spec), classes, min(limits, default=None))
