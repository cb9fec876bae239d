"""What goes wrong inside a step: noticed on the device, raised where the host looks anyway.

On the CPU that is at once. Elsewhere a look halts the host, so a fault travels with its row
(`State.fault`) until the next look, which a fixed pace takes when the generation is finished.
Shapes: B rows, N positions, M positions looked at.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unmask.errors import LogitsError, StrategyError, UnmaskError
from unmask.host import on_host, waits
from unmask.types import State

_NO_LEGAL_ID, _NOT_FINITE, _NAN_SCORE, _TEMPERATURE = 1, 2, 3, 4
_STEPS = 2**28
_NONE = torch.iinfo(torch.int64).max


def in_logits(peak: Tensor, row: Tensor, position: Tensor, state: State) -> Tensor | None:
    """(B,), of the largest logit (M,) at these rows and positions: finite where logits are usable.

    Raises LogitsError at once where looking costs nothing, and is then None.
    """
    usable = torch.isfinite(peak)
    if not waits(peak.device) and bool(usable.all()):
        return None
    code = torch.where(torch.isneginf(peak), _NO_LEGAL_ID, _NOT_FINITE)
    fault = _encoded(code, state.step[row], position).masked_fill(usable, _NONE)
    first = fault.new_full((len(state.row),), _NONE).scatter_reduce(0, row, fault, "amin")
    return _noticed(first, state)


def in_scores(score: Tensor, scope: Tensor, state: State) -> Tensor | None:
    """(B,), of an order's scores (B,N) in scope, which must not be NaN. StrategyError as above."""
    broken = score.isnan() & scope
    if not waits(score.device) and not bool(broken.any()):
        return None
    place = torch.arange(score.shape[1], device=score.device)
    code = torch.full_like(state.step, _NAN_SCORE).unsqueeze(1)
    fault = _encoded(code, state.step.unsqueeze(1), place).masked_fill(~broken, _NONE)
    return _noticed(fault.amin(1), state)


def in_temperatures(temperature: Tensor, state: State) -> Tensor | None:
    """(B,), of temperatures (B,) on a device; on the CPU they have been checked."""
    if not waits(temperature.device):
        return None
    code = torch.full_like(state.step, _TEMPERATURE)
    return _noticed(_encoded(code, state.step, 0).masked_fill(temperature >= 0, _NONE), state)


def first_of(state: State, *faults: Tensor | None) -> Tensor:
    """(B,): what a row has had before, or else the first of these."""
    fault = state.fault
    for further in faults:
        fault = first(fault, further)
    return fault


def first(fault: Tensor, further: Tensor | None) -> Tensor:
    """(B,): the one fault of a row, or else the other."""
    return fault if further is None else fault.where(fault > 0, further)


def look_now(fault: Tensor | None, state: State) -> None:
    """Raise what is wrong of a proposal's rows, wherever they are."""
    if fault is not None:
        raise_first(on_host(fault), on_host(state.row))


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
        raise_first(fault.numpy(), state.row.numpy())
    return fault


def _error(fault: int, row: int) -> UnmaskError:
    place, step = divmod(fault, _STEPS)
    position, code = divmod(place, 8)
    if code == _TEMPERATURE:
        return StrategyError(
            f"the temperature function returned NaN or less than 0 for row {row} at step {step}: "
            "return one number ≥ 0 for each row"
        )
    if code == _NAN_SCORE:
        return StrategyError(
            f"the order scored row {row}, position {position} as NaN at step {step}: return a "
            "number for every position in the running"
        )
    illegal = code == _NO_LEGAL_ID
    why = "no legal id left" if illegal else "NaN or +inf"
    return LogitsError(
        f"the logits at row {row}, position {position}, step {step} have {why}: "
        + (
            "allow another id in forbidden, legal, required or feasible"
            if illegal
            else "check the network's weights and dtype (ESM with token_dropout=True gives NaN "
            "where no position is known)"
        )
    )
