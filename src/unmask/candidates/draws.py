"""`best_of`: several draws of each row, ranked.

Shapes: B rows of n candidates each (row i·n + j of all is candidate j of row i), N positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.candidates.rows import canvas_rows, generation_rows
from unmask.candidates.scores import LIKELIHOOD, By, check_by, scores
from unmask.checks import check_count
from unmask.decoding import Canvas, Strategy, completed, in_order, init
from unmask.generation import Seeds, ready
from unmask.random import fold
from unmask.types import Denoiser, Generation


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
    at_once: int = 256,
) -> Candidates:
    """Generate each row n times and keep the best.

    by: "likelihood", the mean log-probability that the generated tokens had when they were
    committed; a way to score, such as `scoring.Bound()`, minus its nats per generated token; a
    critic (known by its argument `valid`), minus its mean logit that a generated token is wrong; or
    any function (denoiser, generation, canvas) -> (B·n,), higher better, such as one that checks
    whether a solution is right.
    seed, seeds: one integer, or one a row, as in `run`. Candidate 0 has the seed of its row, so
    that n=1 is `run`; the others have seeds derived from it, so a row's candidates are the same in
    any batch. Parts of the strategy that differ by row (a list of steps, `legal` (B,N,V)) have an
    entry for each candidate, those of a row side by side. at_once: rows in one forward.
    Raises a subclass of InputError that says what to pass instead.
    """
    denoiser, canvas, strategy, row_seed = ready(denoiser, canvas, strategy, seed, seeds)
    check_count("n", n)
    each = torch.arange(len(canvas.tokens)).repeat_interleave(n)
    wide = canvas_rows(canvas, each)
    return ranked(denoiser, wide, strategy, candidate_seeds(row_seed, n), by, at_once)


def ranked(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor, by: By, at_once: int
) -> Candidates:
    """All candidates, a canvas of B·n rows with seeds (B,n), generated and the best found."""
    check_by(by)
    check_count("at_once", at_once)
    every = _generated(denoiser, canvas, strategy, seeds.flatten(), at_once)
    score = scores(by, denoiser, every, canvas.to(every.tokens.device), seeds, at_once)
    score = score.to(every.tokens.device)
    chosen = score.argmax(1)
    first = torch.arange(len(chosen), device=chosen.device) * seeds.shape[1]
    return Candidates(generation_rows(every, first + chosen), every, score, chosen)


def candidate_seeds(seeds: Tensor, n: int) -> Tensor:
    """(B,) -> (B,n): the row's own, then others by (it, j) alone."""
    table = seeds.unsqueeze(1).repeat(1, n)
    for row, seed in zip(table, seeds.tolist(), strict=True):
        row[1:] = fold(seed, torch.arange(1, n))
    return table


def _generated(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Tensor, at_once: int
) -> Generation:
    whole = init(denoiser, canvas, strategy, seeds)
    several = torch.arange(len(seeds), device=whole.row.device).split(at_once)
    return in_order([(rows, completed(whole.take(rows), denoiser, strategy)) for rows in several])
