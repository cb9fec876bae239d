"""Mask-ratio schedules γ(t): the share still unknown at time t, from γ(0) = 1 down to γ(1) = 0.

A schedule is three functions of a float64 tensor: the ratio, its derivative and its inverse. Two
schedules are called "cosine" in the literature: `cosine` is MaskGIT's cos(πt/2) (2202.04200),
`cosine_mdlm` is MDLM's 1 − cos(π(1−t)/2) (2406.07524, where t runs from 1 to 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from unmask.core.calls import check_calls
from unmask.core.checks import is_number
from unmask.errors import ScheduleError, nearest

Curve = Callable[[Tensor], Tensor]
_GRID = 257
_TOLERANCE = 1e-6
_BISECTIONS = 60


@dataclass(frozen=True)
class Schedule:
    """A mask-ratio schedule: `ratio`, its `derivative` dγ/dt, its `inverse`; float64 to float64."""

    name: str
    ratio: Curve = field(repr=False)
    derivative: Curve = field(repr=False)
    inverse: Curve = field(repr=False)

    def __post_init__(self) -> None:
        for part in ("ratio", "derivative", "inverse"):
            if not callable(getattr(self, part)):
                raise ScheduleError(
                    f"schedule {self.name!r}: {part}={getattr(self, part)!r} is not a function: "
                    "pass all three, or use schedules.custom(ratio), which computes the other two"
                )

    def __call__(self, t: Tensor) -> Tensor:
        """Return γ(t) clamped to [0, 1]; t and the result are float64 tensors of the same shape."""
        return self.ratio(t).clamp(0.0, 1.0)


def _half(t: Tensor) -> Tensor:
    return t * (math.pi / 2)


@dataclass(frozen=True)
class _Power:
    """One of the functions of `power`."""

    part: Literal["ratio", "derivative", "inverse"]
    exponent: float

    def __call__(self, t: Tensor) -> Tensor:
        if self.part == "ratio":
            return 1 - t**self.exponent
        if self.part == "derivative":
            return -self.exponent * t ** (self.exponent - 1)
        return (1 - t) ** (1 / self.exponent)


def power(exponent: float = 2.0) -> Schedule:
    """Return γ(t) = 1 − t^exponent, for exponent > 0 (2202.04200: square, cubic, square root)."""
    if not (is_number(exponent) and exponent > 0):
        raise ScheduleError(f"power(exponent={exponent!r}): pass a number above 0, such as 2")
    parts = (_Power(part, exponent) for part in ("ratio", "derivative", "inverse"))
    short = f"{exponent:g}"
    name = short if float(short) == exponent else repr(float(exponent))
    return Schedule(f"power({name})", *parts)


linear = replace(power(1.0), name="linear")
"""γ(t) = 1 − t."""

log_linear = replace(linear, name="log_linear")
"""MDLM's log-linear noise σ(t) = −log(1 − (1−ε)t) (2406.07524). Its mask probability is linear in
t, so with ε = 0 it equals `linear`."""


def _cosine(t: Tensor) -> Tensor:
    return torch.cos(_half(t))


def _cosine_slope(t: Tensor) -> Tensor:
    return -torch.sin(_half(t)) * (math.pi / 2)


def _arccos(m: Tensor) -> Tensor:
    return torch.acos(m) * (2 / math.pi)


cosine = Schedule("cosine", _cosine, _cosine_slope, _arccos)
"""MaskGIT's cos(πt/2) (2202.04200): few commits first, many last."""


def _mdlm(t: Tensor) -> Tensor:
    return 1 - torch.cos(_half(1 - t))


def _mdlm_slope(t: Tensor) -> Tensor:
    return -torch.sin(_half(1 - t)) * (math.pi / 2)


def _mdlm_inverse(m: Tensor) -> Tensor:
    return 1 - torch.acos(1 - m) * (2 / math.pi)


cosine_mdlm = Schedule("cosine_mdlm", _mdlm, _mdlm_slope, _mdlm_inverse)
"""MDLM's 1 − cos(π(1−t)/2) (2406.07524): many commits first, few last."""


def _arccos_ratio(t: Tensor) -> Tensor:
    return _arccos(t.clamp(0, 1))


def _arccos_slope(t: Tensor) -> Tensor:
    return -(2 / math.pi) / torch.sqrt(1 - t * t)


arccos = Schedule("arccos", _arccos_ratio, _arccos_slope, _cosine)
"""2·arccos(t)/π (2503.17076): close to linear, faster at the end."""


def custom(ratio: Curve, name: str = "custom") -> Schedule:
    """Return a schedule of any function γ; derivative by autograd, inverse by bisection.

    ratio takes and returns a float64 tensor of any shape. Raises ScheduleError unless γ(0) = 1,
    γ(1) = 0 and γ never rises, checked on a grid.
    """
    grid = torch.linspace(0, 1, _GRID, dtype=torch.float64)
    try:
        values = ratio(grid)
    except Exception as error:
        raise ScheduleError(
            f"schedule {name!r} raised {type(error).__name__} on a tensor of times: {error}; "
            "write it with torch functions, such as torch.cos"
        ) from error
    if not isinstance(values, Tensor) or values.shape != grid.shape:
        got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ScheduleError(
            f"schedule {name!r} got a tensor of shape ({_GRID},) and returned {got}: "
            "return a tensor of the same shape, written with torch functions"
        )
    _check_fall(name, values.detach().double())
    return Schedule(name, ratio, _AutogradDerivative(ratio), _BisectionInverse(ratio))


def _check_fall(name: str, values: Tensor) -> None:
    """Raise ScheduleError unless values on the grid start at 1, end at 0 and never rise."""
    if not bool(torch.isfinite(values).all()):
        raise ScheduleError(
            f"schedule {name!r} is NaN or infinite somewhere on [0, 1]: return finite numbers"
        )
    for place, t, got in (("start", 0, float(values[0])), ("end", 1, float(values[-1]))):
        if abs(got - (1 - t)) > _TOLERANCE:
            raise ScheduleError(
                f"schedule {name!r} must {place} at {1 - t}: it is {got:g} at t={t}. "
                "γ(t) is the share still masked, as in `1 - t`"
            )
    rise = (values[1:] - values[:-1]).max()
    if float(rise) > _TOLERANCE:
        at = int((values[1:] - values[:-1]).argmax()) / (_GRID - 1)
        raise ScheduleError(f"schedule {name!r} rises near t={at:.3f}: it must never rise")


@dataclass(frozen=True)
class _AutogradDerivative:
    """dγ/dt of any γ written with torch functions."""

    ratio: Curve

    def __call__(self, t: Tensor) -> Tensor:
        with torch.enable_grad():
            at = t.detach().double().requires_grad_()
            (slope,) = torch.autograd.grad(self.ratio(at).sum(), at)
        return slope


@dataclass(frozen=True)
class _BisectionInverse:
    """The inverse of any γ that falls."""

    ratio: Curve

    def __call__(self, m: Tensor) -> Tensor:
        low, high = torch.zeros_like(m), torch.ones_like(m)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            above = self.ratio(middle) > m
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return (low + high) / 2


NAMED = {s.name: s for s in (linear, log_linear, cosine, cosine_mdlm, arccos)}


AnySchedule = Schedule | Curve | str


def resolve(schedule: AnySchedule) -> Schedule:
    """Return a Schedule, given one, a function γ(t), or a name such as 'cosine' or 'power(3)'."""
    if isinstance(schedule, Schedule):
        return schedule
    if callable(schedule):
        return custom(schedule, getattr(schedule, "__name__", "custom"))
    if isinstance(schedule, str):
        if schedule.startswith("power(") and schedule.endswith(")"):
            return power(_number(schedule))
        if schedule in NAMED:
            return NAMED[schedule]
    known = [*NAMED, "power(EXPONENT)"]
    raise ScheduleError(f"unknown schedule {schedule!r}: {nearest(str(schedule), known)}")


def _number(text: str) -> float:
    inside = text.removeprefix("power(").removesuffix(")")
    try:
        return float(inside)
    except ValueError:
        raise ScheduleError(
            f"{text!r}: {inside!r} is not a number; type one, such as 'power(2)'"
        ) from None


check_calls(__name__, "Schedule", "custom", "power", "resolve")
