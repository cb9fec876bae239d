"""Scores of candidates: a number for each, higher is better.

Shapes: B rows of n candidates each, R = B·n of them (row i·n + j is candidate j of row i),
N positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from unmask.core.batches import in_batches
from unmask.core.generation import Generation
from unmask.core.inference import evaluating, logit_per_token
from unmask.core.network import Critic, Denoiser
from unmask.core.random import fold
from unmask.core.state import NEVER
from unmask.core.trees import tree_take
from unmask.decoding import Canvas
from unmask.errors import StrategyError
from unmask.scoring import Method, score

Scorer = Callable[[Denoiser, Generation, Canvas], Tensor]
"""A function (denoiser, generation of R rows, their canvas) -> (R,); −inf excludes a row."""

By = str | Method | Critic | Scorer
"""The ranking of candidates: "likelihood", a method of scoring, a critic, or a function."""

LIKELIHOOD = "likelihood"


def check_by(by: By) -> None:
    """Raise StrategyError unless candidates can be ranked by this."""
    if isinstance(by, type) or (by != LIKELIHOOD and not callable(by)):
        raise StrategyError(
            f"by={by!r}: pass 'likelihood', a method such as scoring.Bound(), a critic, or a "
            "function (denoiser, generation, canvas) -> one number per row"
        )


def scores(
    by: By, denoiser: Denoiser, every: Generation, canvas: Canvas, seeds: Tensor, max_rows: int
) -> Tensor:
    """Return scores (B,n) float64 of candidates with seeds (B,n).

    Random masks depend on the seed of the row's first candidate. Raises StrategyError for scores of
    a wrong shape, or NaN.
    """
    # Neither given tokens, nor those filled in behind an end of sequence.
    generated = every.editable & (every.commit_step != NEVER)
    if by == LIKELIHOOD:
        found = _mean(every.logprob, generated)
    elif hasattr(by, "kind"):
        found = _measured(cast(Method, by), denoiser, every, canvas, generated, seeds, max_rows)
    elif _is_critic(by):
        found = -_mean(_wrong(by, every, canvas, max_rows), generated)
    else:
        found = cast(Scorer, by)(denoiser, every, canvas)
    return _checked(found, by, seeds)


def _checked(found: Any, by: By, seeds: Tensor) -> Tensor:
    name, count = getattr(by, "__name__", type(by).__name__), seeds.numel()
    if not isinstance(found, Tensor) or found.shape != (count,):
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else None
        raise StrategyError(
            f"{name} returned {shape or f'a {type(found).__name__}'} for {count} candidates: "
            f"return one number for each, a tensor of shape ({count},)"
        )
    table = found.detach().double().view(seeds.shape)
    broken = table.isnan().nonzero()
    if len(broken):
        row, candidate = broken[0].tolist()
        raise StrategyError(
            f"{name} scored candidate {candidate} of row {row} as NaN: return a number for every "
            "candidate, -inf to exclude one"
        )
    return table


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return (R,) float64: the mean over the positions `where`; 0 for a row without any."""
    total = values.double().masked_fill(~where, 0.0).sum(1)
    return total / where.sum(1).clamp(min=1)


def _measured(
    method: Method,
    denoiser: Denoiser,
    every: Generation,
    canvas: Canvas,
    generated: Tensor,
    seeds: Tensor,
    max_rows: int,
) -> Tensor:
    """Return (R,): minus nats per generated token, row by row: masks do not depend on the batch.

    Their seed is that of no candidate, because one scored in its own order would have an advantage.
    """
    count = seeds.shape[1]
    found = torch.zeros(seeds.numel(), dtype=torch.float64)
    for row, seed in enumerate(seeds[:, 0].tolist()):
        here = slice(row * count, (row + 1) * count)
        if not bool(generated[here].any()):
            continue
        part = canvas.take(torch.arange(here.start, here.stop))
        result = score(
            denoiser,
            every.tokens[here],
            generated[here],
            by=method,
            valid=every.valid[here],
            condition=part.condition,
            legal=part.legal,
            steps=part.steps if method.kind == "exact" else None,
            seed=int(fold(seed, torch.zeros((), dtype=torch.int64))),
            batch_size=max_rows,
        )
        found[here] = -result.per_example / result.tokens_per_example.clamp(min=1)
    return found


def _wrong(critic: Critic, every: Generation, canvas: Canvas, max_rows: int) -> Tensor:
    """Return (R,N) logits that a token is wrong."""
    index = torch.arange(len(every.tokens))

    def judged(part: slice) -> Tensor:
        tokens, condition = every.tokens[part], tree_take(canvas.condition, index[part])
        with evaluating(critic):
            wrong = critic(tokens, valid=every.valid[part], condition=condition)
        return logit_per_token(wrong, tokens)

    return in_batches(judged, len(index), max_rows)


def _is_critic(by: By) -> TypeGuard[Critic]:
    call: Any = by.forward if isinstance(by, nn.Module) else by
    try:
        takes = inspect.signature(call).parameters
    except (TypeError, ValueError):  # a built-in has no signature
        return False
    return "valid" in takes
