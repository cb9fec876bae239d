"""Training some rows without their condition, as guidance requires (2207.12598)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unmask.core.checks import check_share
from unmask.core.random import Purpose, uniform
from unmask.errors import DataError
from unmask.objectives.inputs import example_seeds, kind_of


def drop_condition(condition: Any, seed: int | Tensor, share: float, null: Any = -1) -> Any:
    """Return the condition with each row replaced by `null` with probability `share`.

    condition: a tensor whose first dimension is B, such as (B,) class numbers; or a dict of them.
    seed: one integer, or (B,) int64 row seeds. share: probability in [0, 1].
    null: a number, or a tensor of the shape of one row. If condition is a dict, a dict with the
    null of each entry to drop; other entries stay, such as a mask. All entries of a row are dropped
    together. Raises StrategyError for a share out of range, DataError for shapes that do not fit.
    """
    check_share("share", share)
    if isinstance(condition, Tensor):
        return _dropped(condition, seed, share, null)
    if not isinstance(condition, dict):
        kind = type(condition).__name__
        raise DataError(f"condition is a {kind}: pass a tensor, or a dict of tensors")
    if not isinstance(null, dict) or not null.keys() <= condition.keys():
        raise DataError(
            f"null={null!r}: the condition is a dict with {sorted(condition)}; pass a dict with "
            "the null of each entry to drop"
        )
    changed = {name: _dropped(condition[name], seed, share, null[name]) for name in null}
    return {**condition, **changed}


def _dropped(part: Tensor, seed: int | Tensor, share: float, null: Any) -> Tensor:
    if not isinstance(part, Tensor) or not part.dim():
        raise DataError(f"condition holds {kind_of(part)}: pass a tensor with one entry for a row")
    seeds = example_seeds(seed, len(part)).to(part.device)
    drop = uniform(seeds, 0, 0, Purpose.CONDITION)[:, 0] < share
    try:
        given = torch.as_tensor(null, device=part.device)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"null={null!r}: pass a number, or a tensor for one row") from None
    nothing = given.to(part.dtype)
    if not part.is_floating_point() and not torch.equal(nothing.to(given.dtype), given):
        raise DataError(
            f"null={null!r} in a condition of {part.dtype} would be {nothing.tolist()}: pass a "
            "value that it can hold, or class numbers as int64"
        )
    if nothing.dim() and nothing.shape != part.shape[1:]:
        raise DataError(
            f"null has shape {tuple(nothing.shape)}: a row of the condition has "
            f"{tuple(part.shape[1:])}"
        )
    return nothing.where(drop.view(-1, *[1] * (part.dim() - 1)), part)
