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

from unmask.core.arrays import Table, tensor_of
from unmask.core.checks import check_count
from unmask.core.head import illegal_ids
from unmask.core.network import Denoiser, check_denoiser
from unmask.core.random import check_seed
from unmask.decoding import Canvas
from unmask.decoding.init import check_longest
from unmask.errors import DataError, ModelError, StrategyError
from unmask.objectives.inputs import check_grids
from unmask.scoring.bound import Bound
from unmask.scoring.look import Estimate, Method, Report

_BOUND = Bound()


@dataclass(frozen=True)
class Score:
    """The negative log-likelihood of the scored tokens, in nats. Tensors are on the CPU.

    The standard error of several examples is that over examples, as drawn from the data, and
    contains what their masks add. That of a single one is over the masks of its `Bound`, 0 for a
    method that is exact, and NaN only if nothing is known of it: with `Bound(samples=1)`, or a
    method of one's own that gives nats alone.
    """

    nats_per_token: float  # Σ nats / Σ tokens over the examples
    standard_error: float  # of nats_per_token: over examples; of a single one, over masks
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
        return float(torch.tensor(self.nats_per_token, dtype=torch.float64).exp())


def score(
    denoiser: Denoiser,
    tokens: Table,
    maskable: Table | None = None,
    *,
    by: Method = _BOUND,
    valid: Table | None = None,
    condition: Any = None,
    steps: Tensor | Sequence[int] | None = None,
    legal: Tensor | None = None,
    seed: int = 0,
    batch_size: int = 256,
    report: Report | None = None,
) -> Score:
    """Return how likely the tokens are where maskable is True, given the other tokens.

    tokens: (B,N) int64. maskable: (B,N) bool, by default every valid position. valid: (B,N) bool,
    False at padding, which is at the end of a row and never read. Each is a tensor, an array or a
    list of rows.
    by: `scoring.Bound(samples=16)`, `scoring.Ordered(strategy)` or `scoring.PseudoLikelihood()`.
    condition: for the denoiser, a tensor or a tree of tensors with first dimension B.
    steps: the steps of each row, as in `Canvas`; for `Ordered` only. legal: the ids that may be at
    each position, as in `Canvas`; any other id has probability 0 and infinite nats.
    seed: the result of example i depends on (seed, i) alone. batch_size: rows of one forward, at
    least 2 for `Bound`; it affects memory and time only. report(done, total) is called during the
    work. Raises DataError or CanvasError for ids, shapes and flags that cannot be scored,
    StrategyError for a method that cannot score,
    ModelError for a network without probabilities of tokens given others (DiffusionGemma).
    """
    check_denoiser(denoiser)
    if denoiser.spec.observes:
        raise ModelError(
            f"{type(denoiser).__name__} cannot score, by no method: it denoises canvases of random "
            "ids and reads its own last logits, so that it has no probability of a token given "
            "others. Score by a network with a mask id; of what it generates itself, the record "
            "has the log-probabilities (Generation.logprob, Completion.logprobs)"
        )
    if isinstance(by, type) or not callable(by) or not hasattr(by, "kind"):
        raise StrategyError(
            f"by={by!r}: pass scoring.Bound(), scoring.Ordered(strategy) or "
            "scoring.PseudoLikelihood()"
        )
    check_count("batch_size", batch_size, DataError)
    check_seed(seed)
    if report is not None and not callable(report):
        raise StrategyError(f"report={report!r}: pass a function (done, total), or leave it out")
    canvas = _canvas_of(denoiser, tokens, maskable, valid, condition)
    canvas = replace(canvas, steps=steps, legal=legal).to(canvas.tokens.device)
    found = by(denoiser, canvas, seed, batch_size, report or (lambda done, total: None))
    return summary(_estimate(found, by, len(canvas.tokens)), canvas.editable.sum(1).cpu(), by.kind)


def _estimate(found: object, by: Method, rows: int) -> Estimate:
    """Return what a method has found, on the CPU. Raises StrategyError for anything else."""
    if isinstance(found, Tensor):
        found = Estimate(found, torch.full(found.shape, math.nan))
    if not isinstance(found, Estimate) or found.nats.shape != (rows,):
        shape = getattr(getattr(found, "nats", found), "shape", None)
        got = f"a {type(found).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise StrategyError(
            f"{type(by).__name__} returned {got} for {rows} examples: return their nats, a tensor "
            f"of shape ({rows},), or an Estimate"
        )
    return Estimate(found.nats.double().cpu(), found.variance.double().cpu())


def summary(found: Estimate, tokens: Tensor, kind: str) -> Score:
    """Return the Score of nats (B,) of tokens (B,) int64 each.

    Examples may differ in length, so nats per token is a ratio of sums, and its error that of a
    ratio estimate, which for equal lengths is the standard error of the mean.
    """
    nats, asked, examples = found.nats, int(tokens.sum()), int((tokens > 0).sum())
    ratio = float(nats.sum()) / asked
    variance = float(found.variance[tokens > 0].sum())
    if examples > 1:
        residual = (nats - ratio * tokens).square().sum()
        variance = float(residual) * examples / (examples - 1)
    return Score(ratio, math.sqrt(variance) / asked, asked, examples, nats, tokens, kind)


def _canvas_of(
    denoiser: Denoiser,
    tokens: Table,
    maskable: Table | None,
    valid: Table | None,
    condition: Any,
) -> Canvas:
    """Return a canvas on the denoiser's device whose editable positions are the ones to score."""
    tokens, maskable = tensor_of(tokens), tensor_of(maskable)
    if not isinstance(tokens, Tensor):
        raise DataError(
            f"tokens is a {type(tokens).__name__}: pass ids of shape (B,N), as one tensor or as "
            "rows of equal length"
        )
    device = denoiser.device or tokens.device
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    canvas = Canvas.infill(tokens, nothing, valid=valid, condition=condition).to(device)
    check_longest(canvas, denoiser.spec)
    maskable = canvas.valid if maskable is None else maskable
    if not isinstance(maskable, Tensor):
        raise DataError(f"maskable is a {type(maskable).__name__}: pass a bool tensor (B,N)")
    maskable = maskable.to(device)
    data = canvas.tokens.masked_fill(~canvas.valid, 0)
    _check_places(denoiser, data, maskable, canvas.valid)
    return Canvas(data, maskable, canvas.valid, canvas.condition)


def _check_places(denoiser: Denoiser, data: Tensor, maskable: Tensor, valid: Tensor) -> None:
    """Raise DataError for ids or flags that cannot be scored, or nothing to score."""
    check_grids(data, maskable=maskable)
    vocab = denoiser.spec.vocab_size
    never = torch.tensor(illegal_ids(denoiser.spec), dtype=torch.int64, device=data.device)
    barred, padding = maskable & torch.isin(data, never), maskable & ~valid
    outside = (data < 0) | (data >= vocab)

    def place(wrong: Tensor) -> str:
        row, position = wrong.nonzero()[0].tolist()
        return f"row {row}, position {position}"

    def named(wrong: Tensor) -> str:
        return f"id {int(data[wrong][0])} at {place(wrong)}"

    if bool(barred.any()):
        raise DataError(
            f"{named(barred)} is the mask id or a forbidden one, which is never generated: to "
            "score the other tokens given these, pass "
            f"maskable=~torch.isin(tokens, torch.tensor({never.tolist()}))"
        )
    if bool(padding.any()):
        raise DataError(
            f"maskable is True at padding ({place(padding)}): make it False where valid is False"
        )
    if bool(outside.any()):
        raise DataError(
            f"{named(outside)} is outside the vocabulary of {vocab}: pass ids from 0 to "
            f"{vocab - 1}, and valid=False at padding"
        )
    if not bool(maskable.any()):
        raise DataError(
            "maskable is False everywhere, so no token is scored: make it True at the tokens "
            "to score"
        )
