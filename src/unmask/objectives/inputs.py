"""What objectives are given, checked before the network runs. B rows, N positions.

Whatever needs a look at values on the device is looked at in one read for each function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from unmask.core.checks import check_share
from unmask.core.head import illegal_tensor, mask_id_of
from unmask.core.ids import are_integers
from unmask.core.network import Denoiser, DenoiserSpec, check_denoiser
from unmask.core.random import derive
from unmask.errors import DataError, InputError, SeedError, StrategyError

Fault = tuple[Tensor, Callable[[], InputError]]
"""Where something is wrong, bool of any shape, and the error that says so."""


def checked_batch(
    denoiser: Denoiser,
    tokens: Tensor,
    maskable: Tensor,
    seed: int | Tensor,
    time: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return tokens (B,N) and row seeds (B,), both int64.

    Raises StrategyError for a network that is no denoiser, ModelError for one without a mask id,
    SeedError or DataError for seeds, DataError for ids, flags and times that cannot be trained on.
    """
    check_denoiser(denoiser)
    mask_id_of(denoiser.spec)
    check_grids(tokens, maskable=maskable)
    seeds = example_seeds(seed, len(tokens)).to(tokens.device)
    negative = SeedError("seed holds a negative number: pass integers from 0 to 2**63 - 1")
    faults = [(seeds < 0, lambda: negative), *_data_faults(denoiser.spec, tokens, maskable)]
    if time is not None:
        floats = isinstance(time, Tensor) and time.is_floating_point()
        if not floats or time.shape != (len(tokens),):
            raise DataError(
                f"time is {kind_of(time)}: pass floats of shape ({len(tokens)},) in [0, 1], "
                "or None to spread times over the rows"
            )
        outside = ~((time >= 0) & (time <= 1)).to(tokens.device)  # of NaN, too
        faults.append((outside, lambda: DataError(f"time={time.tolist()}: pass times in [0, 1]")))
    raise_first(faults)
    return tokens.long(), seeds


def check_data(denoiser: Denoiser, tokens: Tensor, maskable: Tensor) -> None:
    """Raise DataError unless shapes agree and every maskable token is an id that data may hold."""
    check_grids(tokens, maskable=maskable)
    raise_first(_data_faults(denoiser.spec, tokens, maskable))


def check_reading(
    denoiser: Denoiser,
    shown: Tensor,
    masked: Tensor,
    tokens: Tensor,
    valid: Tensor | None,
    condition: Any,
    self_condition: float,
) -> None:
    """Raise an InputError unless the network can be run on a corrupted batch (B,N)."""
    check_denoiser(denoiser)
    check_self_condition(denoiser, self_condition)
    check_beside(shown, valid, condition)
    spec = denoiser.spec
    if spec.max_length is not None and shown.shape[1] > spec.max_length:
        raise DataError(
            f"rows have {shown.shape[1]} positions, and the network takes {spec.max_length} at "
            f"most: pass rows of {spec.max_length} or fewer"
        )
    faults = _data_faults(spec, tokens, masked)
    everywhere = torch.ones_like(masked)
    if valid is not None:
        hidden = masked & ~valid
        faults.append((hidden, lambda: DataError(
            f"maskable is True {at(hidden)}, which is padding: make it False where valid is False"
        )))  # fmt: skip
    faults.append(_outside(spec, shown, everywhere))
    if spec.block_size is not None:  # the data are an input, too
        faults.append(_outside(spec, tokens, everywhere))
    raise_first(faults)


def check_grids(tokens: Tensor, **flags: Tensor) -> None:
    """Raise DataError unless tokens are integers (B,N), B and N above 0, and flags bool alike."""
    fits = isinstance(tokens, Tensor) and tokens.dim() == 2 and are_integers(tokens)
    if not fits or not tokens.numel():
        raise DataError(
            f"tokens is {kind_of(tokens)}: pass an int64 tensor of shape (B,N), with a row and a "
            "position or more"
        )
    for name, given in flags.items():
        same = isinstance(given, Tensor) and given.shape == tokens.shape
        if not same or given.dtype != torch.bool or given.device != tokens.device:
            raise DataError(
                f"{name} is {kind_of(given)}: pass a bool tensor of shape {tuple(tokens.shape)} on "
                f"{tokens.device}"
            )


def example_seeds(seed: int | Tensor, rows: int) -> Tensor:
    """Return (B,) int64 row seeds, derived from one seed, or given as (B,)."""
    if isinstance(seed, Tensor):
        if seed.shape != (rows,) or not are_integers(seed):
            raise DataError(
                f"seed is {kind_of(seed)}: pass one integer, or an int64 tensor of shape ({rows},)"
            )
        return seed.long()
    if isinstance(seed, list | tuple):
        raise DataError(f"seed={seed!r}: pass one integer, or torch.tensor of {rows} integers")
    return derive(seed, rows)


def check_beside(tokens: Tensor, valid: Tensor | None, condition: Any) -> None:
    """Raise DataError for padding flags, or a tensor of a condition, of other rows than tokens."""
    check_grids(tokens, **({} if valid is None else {"valid": valid}))
    for leaf in tree_leaves(condition):
        if isinstance(leaf, Tensor) and (leaf.dim() == 0 or len(leaf) != len(tokens)):
            raise DataError(
                f"condition has shape {tuple(leaf.shape)}: its first dimension is that of the "
                f"rows, {len(tokens)}"
            )


def check_self_condition(denoiser: Denoiser, share: float) -> None:
    """Raise StrategyError for a share that is none, or a network that cannot be given a pass."""
    check_share("self_condition", share)
    if share and not denoiser.spec.cached:
        raise StrategyError(
            f"self_condition={share}: this network has no SelfConditioning; pass it to "
            "unmask.wrap(net, self_conditioning=...), or leave it out"
        )


def raise_first(faults: list[Fault]) -> None:
    """Raise the error of the first fault that is True anywhere; one read of the device for all."""
    found: list[bool] = torch.stack([wrong.any() for wrong, _ in faults]).tolist()
    for there, (_, error) in zip(found, faults, strict=True):
        if there:
            raise error()


def kind_of(value: object) -> str:
    """Return what a value is, for messages: `torch.float32 of shape (3, 4)`, or its type."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)} on {value.device}"
    return f"a {type(value).__name__}"


def at(wrong: Tensor) -> str:
    """Return the first place where a tensor (B,N) is True."""
    row, position = wrong.nonzero()[0].tolist()
    return f"at row {row}, position {position}"


def _data_faults(spec: DenoiserSpec, tokens: Tensor, maskable: Tensor) -> list[Fault]:
    """Return the faults of maskable ids outside the vocabulary, and of those never in data."""
    never = torch.isin(tokens, illegal_tensor(spec, tokens.device)) & maskable
    why = (
        "is the mask id or a forbidden one, which no data may hold: make maskable False there, or "
        "leave the id out of the data"
    )
    return [_outside(spec, tokens, maskable), _id_fault(never, tokens, why)]


def _outside(spec: DenoiserSpec, tokens: Tensor, where: Tensor) -> Fault:
    """Return the fault of ids outside the vocabulary where `where` (B,N) is True."""
    outside = ((tokens < 0) | (tokens >= spec.vocab_size)) & where
    why = (
        f"is outside the vocabulary of {spec.vocab_size}: pass ids from 0 to "
        f"{spec.vocab_size - 1}, at padding, too"
    )
    return _id_fault(outside, tokens, why)


def _id_fault(wrong: Tensor, tokens: Tensor, why: str) -> Fault:
    """Return the fault of ids that are `wrong` (B,N)."""
    return wrong, lambda: DataError(f"id {int(tokens[wrong][0])} {at(wrong)} {why}")
