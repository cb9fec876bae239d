"""A bias: numbers added to the logits that tokens are drawn from, by id.

Shapes: M rows, V vocabulary, K ids with a bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import as_integer, is_number
from unmask.errors import StrategyError

MOST = 1e4
"""The largest bias: beside a larger one the digits of a float32 logit are lost."""

Bias = Mapping[int, float] | Iterable[tuple[int, float]]
"""A number for each id, or pairs of them."""


def as_bias(bias: object) -> tuple[tuple[int, float], ...]:
    """Return a bias as pairs by rising id, without those of 0. Raises StrategyError otherwise."""
    given: Any = bias.items() if isinstance(bias, Mapping) else bias
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise StrategyError(f"bias={bias!r}: pass a number for each id, such as {{7: -100.0}}")
    found = dict[int, float]()
    for pair in given:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise StrategyError(
                f"bias holds {pair!r}: pass pairs of an id and a number, such as {{7: -100.0}}"
            )
        token, value = as_integer(pair[0]), pair[1]
        if token is None:
            raise StrategyError(
                f"bias is of the id {pair[0]!r}: pass integers, such as {{7: -100.0}}"
            )
        if not (is_number(value) and abs(value) <= MOST):
            raise StrategyError(
                f"bias={value!r} of the id {token}: pass a finite number from {-MOST:g} to "
                f"{MOST:g}; ids that shall never be drawn are Constraint(forbidden=[{token}])"
            )
        if token in found:
            raise StrategyError(f"bias has the id {token} twice: pass one number for each id")
        found[token] = float(value)
    return tuple(sorted((token, value) for token, value in found.items() if value))


def check_bias(bias: Bias, vocab: int) -> None:
    """Raise StrategyError unless every id is inside the vocabulary."""
    outside = [token for token in dict(bias) if not 0 <= token < vocab]
    if outside:
        raise StrategyError(
            f"bias is of the ids {outside}, outside the vocabulary of {vocab}: pass ids from 0 to "
            f"{vocab - 1}"
        )


class BiasOf:
    """A bias on a device: `added` returns logits (M,V) with it."""

    def __init__(self, bias: Bias, device: torch.device):
        values = dict(bias)
        self.ids = torch.tensor(list(values), dtype=torch.int64, device=device)
        self.values = torch.tensor(list(values.values()), dtype=torch.float32, device=device)

    def added(self, logits: Tensor) -> Tensor:
        """Return new logits (M,V); what was illegal stays so."""
        return logits.index_add(1, self.ids, self.values.expand(len(logits), -1))
