"""`best_of`: several draws of each row, ranked.

Shapes: B rows of n candidates each (row i·n + j of all is candidate j of row i), N positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.candidates.scores import LIKELIHOOD, By, check_by, scores
from unmask.core.checks import check_count
from unmask.core.generation import Generation
from unmask.core.network import Denoiser
from unmask.core.random import fold
from unmask.decoding import Canvas, Strategy, init
from unmask.engine import Engine, check_inputs, complete
from unmask.engine.run import Seeds


@dataclass(frozen=True, eq=False)
class Candidates:
    """The best candidate of each row, and all that it was chosen from."""

    best: Generation  # B rows, in the order of the canvas
    every: Generation  # B·n rows: row i·n + j is candidate j of row i
    score: Tensor  # (B,n) float64: higher is better
    chosen: Tensor  # (B,) int64: which candidate is the best; of equal ones the first

    @property
    def tokens(self) -> Tensor:
        """(B,N) int64: those of the best."""
        return self.best.tokens

    @property
    def length(self) -> Tensor:
        """(B,) int64: how many positions of the best were generated."""
        return self.best.editable.sum(1)

    @property
    def lengths(self) -> Tensor:
        """(B,n) int64: the same of every candidate."""
        return self.every.editable.sum(1).view(self.score.shape)


def best_of(
    denoiser: Denoiser,
    canvas: Canvas,
    strategy: Strategy | None = None,
    *,
    n: int,
    by: By = LIKELIHOOD,
    seed: int | None = None,
    seeds: Seeds = None,
    max_rows: int = 256,
) -> Candidates:
    """Generate each row n times and keep the best.

    by: "likelihood", the mean log-probability that the generated tokens had when they were
    committed; a way to score, such as `scoring.Bound()`, minus its nats per generated token; a
    critic (known by its argument `valid`), minus its mean logit that a generated token is wrong; or
    any function (denoiser, generation, canvas) -> (B·n,), higher better, such as one that checks
    whether a solution is right.
    seed, seeds: one integer, or one a row, as in `run`. Candidate 0 has the seed of its row, so
    that n=1 is `run`; the others have seeds derived from it, so a row's candidates are the same in
    any batch. What the canvas says of a row (steps, legal, required) holds for each of its
    candidates. max_rows: rows that are generated at once.
    Raises a subclass of InputError that says what to pass instead.
    """
    denoiser, canvas, strategy, row_seed = check_inputs(denoiser, canvas, strategy, seed, seeds)
    check_count("n", n)
    each = torch.arange(len(canvas.tokens)).repeat_interleave(n)
    wide = canvas.take(each)
    return ranked(denoiser, wide, strategy, candidate_seeds(row_seed, n), by, max_rows)


def ranked(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor, by: By, max_rows: int
) -> Candidates:
    """All candidates, a canvas of B·n rows with seeds (B,n), generated and the best found."""
    check_by(by)
    check_count("max_rows", max_rows)
    engine = Engine(denoiser, max_rows=max_rows)
    every = complete(engine, init(denoiser, canvas, strategy, seeds.flatten()), strategy)
    score = scores(by, denoiser, every, canvas.to(every.tokens.device), seeds, max_rows)
    score = score.to(every.tokens.device)
    chosen = score.argmax(1)
    first = torch.arange(len(chosen), device=chosen.device) * seeds.shape[1]
    return Candidates(every.take(first + chosen), every, score, chosen)


def candidate_seeds(seeds: Tensor, n: int) -> Tensor:
    """(B,) -> (B,n): the row's own, then others by (it, j) alone."""
    table = seeds.unsqueeze(1).repeat(1, n)
    for row, seed in zip(table, seeds.tolist(), strict=True):
        row[1:] = fold(seed, torch.arange(1, n))
    return table
