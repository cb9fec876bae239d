"""One seed per row: given, derived from a single one, or fresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from unmask.core.random import check_seed, derive, fresh_seed
from unmask.decoding.canvas import Canvas
from unmask.errors import SeedError


def row_seeds(canvas: Canvas, seed: int | None, seeds: Sequence[int] | Tensor | None) -> Tensor:
    """(B,) int64. Pass `seed`, from which each row gets its own, or `seeds`, one a row, or neither.

    With neither, a seed comes from torch's global generator, so torch.manual_seed reproduces it.
    Raises SeedError if both are given, one is no integer in [0, 2**63), their number is not B, or
    two rows with equal content (steps, legal and required ids, and the condition included) share
    one: they would come out as copies of each other.
    """
    if seeds is None:
        return derive(fresh_seed() if seed is None else check_seed(seed), len(canvas.tokens))
    if seed is not None:
        raise SeedError(f"seed={seed!r} and seeds={seeds!r} are both given: pass one of them")
    listed = seeds.tolist() if hasattr(seeds, "tolist") else seeds
    if not isinstance(listed, Iterable):
        raise SeedError(f"seeds={seeds!r}: pass one integer per row, or seed={listed!r} for all")
    each = [check_seed(s) for s in listed]
    if len(each) != len(canvas.tokens):
        raise SeedError(
            f"{len(each)} seeds for {len(canvas.tokens)} rows: pass exactly one per row"
        )
    _reject_copies(canvas, each)
    return torch.tensor(each, dtype=torch.int64)


def _reject_copies(canvas: Canvas, seeds: list[int]) -> None:
    rows_of = Counter(seeds)
    if len(rows_of) == len(seeds):
        return
    leaves = _leaves(canvas)
    seen: dict[tuple[object, ...], int] = {}
    for row, seed in enumerate(seeds):
        if rows_of[seed] == 1:
            continue
        content = (leaf[row].reshape(-1).view(torch.uint8).numpy().tobytes() for leaf in leaves)
        first = seen.setdefault((seed, *content), row)
        if first != row:
            raise SeedError(
                f"rows {first} and {row} have the same canvas and the same seed {seed}, so they "
                "would be copies: give every row its own seed"
            )


def _leaves(canvas: Canvas) -> list[Tensor]:
    """All that tells one row from another, each of B rows, on the host."""
    batch, length = canvas.shape
    legal, required = canvas.legal, canvas.required
    given = canvas.tokens.masked_fill(canvas.editable, 0)
    every = [given, canvas.editable, canvas.valid, canvas.steps, canvas.condition]
    every += [None if legal is None else legal.expand(batch, length, -1)]
    every += [None if required is None else required.expand(batch, length)]
    return [leaf.cpu() for leaf in tree_leaves(every) if isinstance(leaf, Tensor)]
