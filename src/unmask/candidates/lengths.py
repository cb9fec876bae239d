"""`length_beam`: generation at several lengths, of which the best is kept.

Shapes: B rows, L lengths tried of each, P given positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unmask.candidates.draws import Candidates, candidate_seeds, ranked
from unmask.candidates.scores import LIKELIHOOD, By
from unmask.core.checks import check_count
from unmask.core.ids import are_integers
from unmask.core.network import Denoiser
from unmask.core.trees import tree_take
from unmask.decoding import Canvas, Strategy
from unmask.engine import check_inputs
from unmask.engine.run import Seeds
from unmask.errors import CanvasError

Given = Tensor | Sequence[int] | Sequence[Sequence[int]] | Sequence[Tensor] | None
"""Ids for all rows, (P,) or a list; or for each row, (B,P) or a list of lists."""

Lengths = Tensor | Sequence[int] | Sequence[Sequence[int]] | Callable[[list[Tensor], Any], Tensor]
"""Lengths for all rows, or (B,L), or a function (prompts, condition) -> (B,L) int64."""


def length_beam(
    denoiser: Denoiser,
    lengths: Lengths,
    strategy: Strategy | None = None,
    *,
    prompt: Given = None,
    suffix: Given = None,
    batch_size: int | None = None,
    condition: Any = None,
    by: By = LIKELIHOOD,
    seed: int | None = None,
    seeds: Seeds = None,
    max_rows: int = 256,
) -> Candidates:
    """Generate each row at several lengths and keep the best (Mask-Predict 1904.09324, §3.3).

    lengths: numbers of tokens to generate, such as [8, 10, 12]; (B,L) for different lengths of each
    row; or a function that returns either, called with the prompts, a list of B tensors, and the
    condition. prompt, suffix: ids before and after the generated ones, one sequence for all rows or
    one a row (of any lengths). batch_size: B, if prompt and suffix are not given row by row;
    default 1. by: as in `best_of`; "likelihood" is the paper's (1/N)·Σ log p, which does not favour
    short rows. seed, seeds, max_rows: as in `best_of`.
    All lengths run as rows of one batch. `Candidates.length` is the chosen one. Raises a subclass
    of InputError that says what to pass instead.
    """
    rows = {"prompt": _given("prompt", prompt), "suffix": _given("suffix", suffix)}
    batch = _batch(rows, batch_size)
    before, after = (part if len(part) == batch else part * batch for part in rows.values())
    table = _table(lengths, before, condition)
    tokens, editable = _candidates(before, table, after)
    tried = len(table[0])
    # The first candidate of each row, to check its seed and condition.
    first = Canvas.ragged(tokens[::tried], editable[::tried], condition=condition)
    denoiser, _, strategy, row_seed = check_inputs(denoiser, first, strategy, seed, seeds)
    each = torch.arange(batch).repeat_interleave(tried)
    canvas = Canvas.ragged(tokens, editable, condition=tree_take(first.condition, each))
    return ranked(denoiser, canvas, strategy, candidate_seeds(row_seed, tried), by, max_rows)


def _given(name: str, given: Given) -> list[Tensor]:
    """Return one sequence of ids for all rows, or one for each."""
    if given is None:
        return [torch.zeros(0, dtype=torch.int64)]
    try:
        flat = all(torch.as_tensor(part).dim() == 0 for part in given)
        rows = [torch.as_tensor(ids) for ids in ([given] if flat else given)]
    except (TypeError, ValueError, RuntimeError):
        rows = []
    # An empty list becomes a tensor of floats.
    rows = [ids if ids.numel() else ids.long() for ids in rows]
    if not rows or any(ids.dim() != 1 or not are_integers(ids) for ids in rows):
        raise CanvasError(
            f"{name}={given!r}: pass ids for all rows, such as [5, 2], or a list of them for each "
            "row, such as [[5, 2], [7]]"
        )
    return rows


def _batch(rows: dict[str, list[Tensor]], batch_size: int | None) -> int:
    """Return B: the number of prompts or suffixes, if they are given row by row."""
    sizes = {f"{name} has {len(part)} rows": len(part) for name, part in rows.items()}
    sizes = {words: size for words, size in sizes.items() if size != 1}
    if batch_size is not None:
        check_count("batch_size", batch_size, CanvasError)
        sizes[f"batch_size={batch_size}"] = batch_size
    if len(set(sizes.values())) > 1:
        raise CanvasError(f"{' and '.join(sizes)}: pass as many of each, or one for all rows")
    return next(iter(sizes.values()), 1)


def _table(lengths: Lengths, prompts: list[Tensor], condition: Any) -> list[list[int]]:
    """Return L lengths of each row."""
    given = lengths(prompts, condition) if callable(lengths) else lengths
    try:
        table = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        table = torch.zeros(0)
    table = table.expand(len(prompts), -1) if table.dim() == 1 else table
    shaped = table.dim() == 2 and len(table) == len(prompts) and table.numel() > 0
    if not shaped or not are_integers(table) or bool((table < 1).any()):
        raise CanvasError(
            f"lengths={given!r} for {len(prompts)} rows: pass integers of 1 or more, such as "
            f"[8, 10, 12], or as many of them for each row, ({len(prompts)},L)"
        )
    return [[int(length) for length in row] for row in table]


def _candidates(
    before: list[Tensor], table: list[list[int]], after: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the ids of all B·L candidates, and which of them are to be generated."""
    tokens, editable = [], []
    for start, row, end in zip(before, table, after, strict=True):
        for length in row:
            parts = [start.cpu(), torch.zeros(length, dtype=torch.int64), end.cpu()]
            tokens.append(torch.cat(parts))
            editable.append(torch.cat([torch.full((len(p),), p is parts[1]) for p in parts]))
    return tokens, editable
