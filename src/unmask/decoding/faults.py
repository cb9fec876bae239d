"""What goes wrong on the device inside a step, raised where the host reads from it anyway.

On the CPU that is at once. Elsewhere a look halts the host, so a fault travels with its row
(`State.fault`) until the next report, or until the generation is finished.
Shapes: B rows, N positions, M positions queried.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unmask.core.arrays import arange, on_host, waits
from unmask.core.state import State
from unmask.errors import TOKEN_DROPOUT, LogitsError, StrategyError, UnmaskError

_NO_LEGAL_ID, _NOT_FINITE, _NAN_SCORE, _OUTSIDE = 1, 2, 3, 4
_WAYS_OUT = {
    _NO_LEGAL_ID: "no legal id left: allow another id in forbidden, legal, required or feasible",
    _NOT_FINITE: f"NaN or +inf: check the network's weights and dtype ({TOKEN_DROPOUT})",
}
_STEPS = 2**28
_NONE = torch.iinfo(torch.int64).max


def in_logits(max_logit: Tensor, row: Tensor, position: Tensor, state: State) -> Tensor | None:
    """(B,), of the largest logit (M,) at these rows and positions: finite where logits are usable.

    Raises LogitsError at once where looking costs nothing, and is then None.
    """
    if not waits(max_logit.device) and np.isfinite(max_logit.numpy()).all():
        return None
    usable = torch.isfinite(max_logit)
    code = torch.where(torch.isneginf(max_logit), _NO_LEGAL_ID, _NOT_FINITE)
    fault = _encoded(code, state.step[row], position).masked_fill(usable, _NONE)
    first = fault.new_full((len(state),), _NONE).scatter_reduce(0, row, fault, "amin")
    return _noticed(first, state)


def in_scores(score: Tensor, state: State) -> Tensor | None:
    """(B,), of the scores (B,N) of eligible positions, which must not be NaN.

    score is already −inf elsewhere. Raises StrategyError as above.
    """
    if not waits(score.device) and not np.isnan(score.numpy()).any():
        return None
    broken = score.isnan()
    place = arange(score.shape[1], score.device)
    code = torch.full_like(state.step, _NAN_SCORE).unsqueeze(1)
    fault = _encoded(code, state.step.unsqueeze(1), place).masked_fill(~broken, _NONE)
    return _noticed(fault.amin(1), state)


def in_extension(place: Tensor, masks: Tensor, ends: Tensor, state: State) -> Tensor:
    """(B,), of changes of length that are not within the positions to generate, each (B,) int64.

    Raises StrategyError as above.
    """
    outside = (place < state.first) | (place > state.length) | (ends < 0)
    outside = outside | (state.length + masks < state.first)
    code = torch.full_like(state.step, _OUTSIDE)
    return _noticed(_encoded(code, state.step, state.first).masked_fill(~outside, 0), state)


def first_fault(fault: Tensor, *further: Tensor | None) -> Tensor:
    """(B,): the fault a row has had before, or else the first of these."""
    for other in further:
        fault = fault if other is None else fault.where(fault > 0, other)
    return fault


def raise_faults(fault: Tensor | None, state: State) -> None:
    """Raise what is wrong with the rows, wherever they are. Waits for the device."""
    if fault is not None:
        raise_first(on_host(fault), state.rows.index)


def raise_first(fault: np.ndarray, row: np.ndarray) -> None:
    """Raise what the first row with a fault had. fault, row (B,)."""
    if fault.any():
        worst = int(fault.nonzero()[0][0])
        raise _error(int(fault[worst]), int(row[worst]))


def _encoded(code: Tensor, step: Tensor, position: Tensor | int) -> Tensor:
    """One integer: the lower, the lower the position."""
    return (position * 8 + code) * _STEPS + step


def _noticed(fault: Tensor, state: State) -> Tensor:
    fault = fault.masked_fill(fault == _NONE, 0)
    if not waits(fault.device):
        raise_first(fault.numpy(), state.rows.index)
    return fault


def _error(fault: int, row: int) -> UnmaskError:
    place, step = divmod(fault, _STEPS)
    position, code = divmod(place, 8)
    if code == _NAN_SCORE:
        return StrategyError(
            f"the order scored row {row}, position {position} as NaN at step {step}: return a "
            "number for every eligible position",
            rows=(row,),
        )
    if code == _OUTSIDE:
        return StrategyError(
            f"the growth rule changes row {row} outside its positions to generate, which begin at "
            f"{position}, at step {step}: return a place from state.first to state.length, no ends "
            "below 0, and take no more than state.length - state.first",
            rows=(row,),
        )
    return LogitsError(
        f"the logits at row {row}, position {position}, step {step} have {_WAYS_OUT[code]}",
        rows=(row,),
    )
