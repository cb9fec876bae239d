"""Parts of a strategy as plain JSON, and back.

A part is `{"part": "TopK", ...its fields}`; a schedule is its name. Functions, critics and tensors
of the user's own cannot be written, and are named in the error.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from unmask import commit, growth, guidance, noise, orders, revise, stopping
from unmask.constraints import Automaton, Constraint
from unmask.errors import ScheduleError, StrategyError, nearest
from unmask.groups import Groups
from unmask.sampling import Annealed, LinearDecay, Sampling, SquaredDecay
from unmask.schedules import Schedule, resolve

_CLASSES: tuple[type, ...] = (
    Annealed,
    Constraint,
    Groups,
    LinearDecay,
    Sampling,
    SquaredDecay,
    noise.Accepted,
    noise.MaskToken,
    noise.PreviousSample,
    noise.UniformIds,
)


def known_parts() -> dict[str, type]:
    """Return the parts that can be written, by name."""
    found = {kind.__name__: kind for kind in _CLASSES}
    for axis in (commit, growth, guidance, orders, revise, stopping):
        for name in axis.__all__:
            kind = getattr(axis, name)
            if isinstance(kind, type) and is_dataclass(kind):
                found[name] = kind
    return found


def encode(value: Any, where: str) -> Any:
    """Return a part, or a field of one, as plain JSON. Raises StrategyError for what cannot be."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Schedule):
        return {"schedule": _schedule_name(value, where)}
    kind = type(value).__name__
    if isinstance(value, Automaton):
        return {"part": kind, **value.to_dict()}
    if known_parts().get(kind) is not type(value):
        raise StrategyError(
            f"{where}={value!r} cannot be written as JSON: it is of your own making; keep the "
            "Python code that makes the strategy, or pickle it"
        )
    inside = {
        field.name: encode(getattr(value, field.name), f"{where}.{field.name}")
        for field in fields(value)  # type: ignore[arg-type]  # known_parts are dataclasses
        if field.init
    }
    return {"part": kind, **inside}


def _schedule_name(schedule: Schedule, where: str) -> str:
    try:
        if resolve(schedule.name) == schedule:
            return schedule.name
    except ScheduleError:
        pass
    raise StrategyError(
        f"{where}={schedule.name!r} is a schedule of your own, which cannot be written as JSON: "
        "use a named one, such as 'cosine' or 'power(2)'"
    )


def decode(value: Any, where: str) -> Any:
    """Return what `encode` wrote. Raises StrategyError for what is no part."""
    if isinstance(value, list):
        return tuple(decode(item, f"{where}[{i}]") for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    if set(value) == {"schedule"}:
        return resolve(value["schedule"])
    options, known = dict(value), known_parts()
    kind = options.pop("part", None)
    if kind == Automaton.__name__:
        return Automaton.from_dict(options)
    if not isinstance(kind, str) or kind not in known:
        raise StrategyError(f"{where} is the part {kind!r}: {nearest(str(kind), known)}")
    inside = {name: decode(item, f"{where}.{name}") for name, item in options.items()}
    try:
        return known[kind](**inside)
    except TypeError as error:
        raise StrategyError(f"{where}: {kind} cannot be made: {error}") from None
