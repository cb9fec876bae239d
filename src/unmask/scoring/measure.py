"""`score`: the likelihood of sequences, or of a part of them given the rest.

Shapes: B examples, N positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import check_count
from unmask.core.network import Denoiser, check_denoiser
from unmask.decoding import Canvas
from unmask.decoding.init import check_longest
from unmask.errors import DataError, StrategyError
from unmask.objectives.evaluate import check_data
from unmask.scoring.bound import Bound
from unmask.scoring.look import Method, Report

_BOUND = Bound()


@dataclass(frozen=True)
class Score:
    """The negative log-likelihood of the scored tokens, in nats. Tensors are on the CPU."""

    nats_per_token: float  # Σ nats / Σ tokens over the examples
    standard_error: float  # of nats_per_token, over the examples; NaN for one example
    tokens: int  # scored, over all examples
    examples: int  # with at least one scored token
    per_example: Tensor  # (B,) float64: nats summed over the scored tokens of each
    tokens_per_example: Tensor  # (B,) int64
    kind: str  # "exact": −log p; "bound": an upper bound in expectation; "pseudo": neither

    @property
    def bits_per_token(self) -> float:
        """Bits per token; for images bits per dimension."""
        return self.nats_per_token / math.log(2)

    @property
    def bits_error(self) -> float:
        """Standard error of `bits_per_token`."""
        return self.standard_error / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(nats per token); infinite if that overflows."""
        try:
            return math.exp(self.nats_per_token)
        except OverflowError:
            return math.inf


def score(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor | None = None,
    *,
    by: Method = _BOUND,
    valid: Tensor | None = None,
    condition: Any = None,
    steps: Tensor | Sequence[int] | None = None,
    legal: Tensor | None = None,
    seed: int = 0,
    batch_size: int = 256,
    report: Report | None = None,
) -> Score:
    """Return how likely the tokens are where maskable is True, given the other tokens.

    tokens: (B,N) int64. maskable: (B,N) bool, by default every valid position. valid: (B,N) bool,
    False at padding, which is at the end of a row and never read.
    by: `scoring.Bound(samples=16)`, `scoring.Ordered(strategy)` or `scoring.PseudoLikelihood()`.
    condition: for the denoiser, a tensor or a tree of tensors with first dimension B.
    steps: the steps of each row, as in `Canvas`; for `Ordered` only. legal: the ids that may be at
    each position, as in `Canvas`; any other id has probability 0 and infinite nats.
    seed: the result of example i depends on (seed, i) alone. batch_size: rows of one forward, at
    least 2 for `Bound`; it affects memory and time only. report(done, total) is called during the
    work. Raises DataError or CanvasError for ids, shapes and flags that cannot be scored,
    StrategyError for a method that cannot score.
    """
    check_denoiser(denoiser)
    if isinstance(by, type) or not callable(by) or not hasattr(by, "kind"):
        raise StrategyError(
            f"by={by!r}: pass scoring.Bound(), scoring.Ordered(strategy) or "
            "scoring.PseudoLikelihood()"
        )
    check_count("batch_size", batch_size, DataError)
    canvas = _canvas_of(denoiser, tokens, maskable, valid, condition)
    canvas = replace(canvas, steps=steps, legal=legal).to(canvas.tokens.device)
    nats = by(denoiser, canvas, seed, batch_size, report or (lambda done, total: None))
    return summary(nats.cpu(), canvas.editable.sum(1).cpu(), by.kind)


def summary(nats: Tensor, tokens: Tensor, kind: str) -> Score:
    """Return the Score of nats (B,) float64 of tokens (B,) int64 each.

    Examples may differ in length, so nats per token is a ratio of sums, and its error that of a
    ratio estimate, which for equal lengths is the standard error of the mean.
    """
    asked, examples = int(tokens.sum()), int((tokens > 0).sum())
    ratio = float(nats.sum()) / asked
    residual = (nats - ratio * tokens).square().sum()
    spread = math.sqrt(float(residual) * examples / (examples - 1)) if examples > 1 else math.nan
    return Score(ratio, spread / asked, asked, examples, nats, tokens, kind)


def _canvas_of(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor | None,
    valid: Tensor | None,
    condition: Any,
) -> Canvas:
    """Return a canvas on the denoiser's device whose editable positions are the ones to score."""
    if not isinstance(tokens, Tensor):
        raise DataError(f"tokens is a {type(tokens).__name__}: pass an int64 tensor of shape (B,N)")
    device = denoiser.device or tokens.device
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    canvas = Canvas.infill(tokens, nothing, valid=valid, condition=condition).to(device)
    check_longest(canvas, denoiser.spec)
    maskable = canvas.valid if maskable is None else maskable
    if not isinstance(maskable, Tensor):
        raise DataError(f"maskable is a {type(maskable).__name__}: pass a bool tensor (B,N)")
    maskable = maskable.to(device)
    data = canvas.tokens.masked_fill(~canvas.valid, 0)
    check_data(denoiser, data, maskable)
    _check_places(denoiser, data, maskable, canvas.valid)
    return Canvas(data, maskable, canvas.valid, canvas.condition)


def _check_places(denoiser: Denoiser, data: Tensor, maskable: Tensor, valid: Tensor) -> None:
    """Raise DataError for maskable padding, ids out of range, or no maskable position."""
    padding = (maskable & ~valid).nonzero()
    if len(padding):
        row, position = padding[0].tolist()
        raise DataError(
            f"maskable is True at padding (row {row}, position {position}): make it False where "
            "valid is False"
        )
    vocab = denoiser.spec.vocab_size
    outside = (data < 0) | (data >= vocab)
    if bool(outside.any()):
        row, position = outside.nonzero()[0].tolist()
        raise DataError(
            f"id {int(data[row, position])} at row {row}, position {position} is outside the "
            f"vocabulary of {vocab}: pass ids from 0 to {vocab - 1}, and valid=False at padding"
        )
    if not bool(maskable.any()):
        raise DataError(
            "maskable is False everywhere, so no token is scored: make it True at the tokens "
            "to score"
        )
