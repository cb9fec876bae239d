"""`best_of`: several generations of each row, ranked.

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
    """The best candidate of each row, and all candidates."""

    best: Generation  # B rows, in the order of the canvas
    every: Generation  # B·n rows: row i·n + j is candidate j of row i
    score: Tensor  # (B,n) float64: higher is better
    chosen: Tensor  # (B,) int64: the number of the best candidate, the first of equal ones

    @property
    def tokens(self) -> Tensor:
        """(B,N) int64: the tokens of the best candidates."""
        return self.best.tokens

    @property
    def length(self) -> Tensor:
        """(B,) int64: the number of generated positions of the best candidates."""
        return self.best.editable.sum(1)

    @property
    def lengths(self) -> Tensor:
        """(B,n) int64: the number of generated positions of every candidate."""
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

    n: candidates of each row. by: how they are ranked: "likelihood", the mean log-probability that
    the generated tokens had when committed; a method of scoring, such as `scoring.Bound()`, minus
    its nats per generated token; a critic (recognised by its argument `valid`), minus its mean
    logit that a generated token is wrong; or any function (denoiser, generation, canvas) -> (B·n,),
    higher is better, such as one that checks solutions.
    seed, seeds: one integer, or one a row, as in `run`. Candidate 0 has the seed of its row, so
    that n=1 gives `run`; the other seeds are derived from it, so a row's candidates are the same in
    any batch. The steps, legal and required ids of a row apply to each of its candidates.
    max_rows: rows generated at once.
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
    """Generate a canvas of B·n candidates with seeds (B,n), and return the best ones."""
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
    """Return (B,n) int64: each row's seed (B,), then seeds derived from it."""
    table = seeds.unsqueeze(1).repeat(1, n)
    for row, seed in zip(table, seeds.tolist(), strict=True):
        row[1:] = fold(seed, torch.arange(1, n))
    return table
