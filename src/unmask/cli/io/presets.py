"""Presets by name, with options given on the command line; found in `unmask.presets`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from unmask.errors import StrategyError, nearest

if TYPE_CHECKING:
    from unmask.decoding import Strategy
    from unmask.models.checkpoint import Card

FLAGS = ("steps", "temperature", "schedule")  # options of the commands; others need --set


def known() -> dict[str, Callable[..., Strategy]]:
    """Return every preset of the package, by name."""
    from unmask import presets

    return {name: getattr(presets, name) for name in presets.__all__}


def takes(make: Callable[..., Strategy]) -> dict[str, Any]:
    """Return the options of a preset and their defaults, as JSON values."""
    parameters = inspect.signature(make).parameters.values()
    return {p.name: written(p.default) for p in parameters if p.default is not p.empty}


def needs(make: Callable[..., Strategy]) -> list[str]:
    """Return the names of a preset's parameters without default, such as a critic."""
    parameters = inspect.signature(make).parameters.values()
    return [p.name for p in parameters if p.default is p.empty]


def written(value: Any) -> Any:
    """Return a default as a JSON value; a schedule becomes its name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return list(value) if isinstance(value, tuple) else value.name


def build(
    name: str, options: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Strategy:
    """Return the strategy of a preset with these options.

    given: parameters without default that the model determines, such as the height of a board.
    Raises StrategyError for an unknown name or option; the message lists the known ones.
    """
    presets = known()
    if name not in presets:
        raise StrategyError(f"no preset {name!r}: {nearest(name, presets)}")
    make = presets[name]
    if missing := [each for each in needs(make) if each not in (given or {})]:
        raise StrategyError(
            f"preset {name!r} needs a {missing[0]}, which no option can pass; call it from Python: "
            f"unmask.presets.{name}({missing[0]}, ...)"
        )
    hints = get_type_hints(make)
    for key, value in options.items():
        if key not in takes(make):
            what = f"--{key}" if key in FLAGS else f"--set {key}="
            raise StrategyError(f"preset {name!r} takes no {what}; {its_options(make)}")
        if not fits(value, hints[key]):
            raise StrategyError(
                f"{typed(key, value)} is of the wrong kind; the default is "
                f"{typed(key, takes(make)[key])}"
            )
    return make(**(given or {}), **options)


def its_options(make: Callable[..., Strategy]) -> str:
    """Return text such as `its options and their defaults: --steps 12, --set keep=0.3`."""
    return "its options and their defaults: " + ", ".join(starmap(typed, takes(make).items()))


def typed(name: str, value: Any) -> str:
    """Return an option of a preset as it is typed: `--steps 12`, `--set keep=0.3`."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--{name} {text}" if name in FLAGS else f"--set {name}={text}"


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value read from the command line has a type that an annotation allows."""
    if get_origin(hint) is Literal:
        return isinstance(value, str)  # the preset itself knows the names
    kinds = {get_origin(kind) or kind for kind in get_args(hint) or (hint,)}
    if value is None or isinstance(value, bool | str):
        return type(value) in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return pairs such as "keep=0.5" as a dict; values that are not JSON become strings."""
    return dict(_setting(pair) for pair in pairs)


def _setting(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise StrategyError(f"--set {pair}: type NAME=VALUE, such as --set keep=0.5")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def choose(
    card: Card, name: str | None, flags: Mapping[str, Any], pairs: Sequence[str] = ()
) -> Strategy:
    """Return the strategy of a command's options, or, without a preset, the card's recommendation.

    flags: the values of `FLAGS`, None if not given. pairs: the values of --set.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    further = settings(pairs)
    for key in sorted(further.keys() & given.keys()):
        raise StrategyError(f"--{key} and --set {key}= are both given: type one of them")
    options = {} if name else recommended(card)
    chosen = name or options.pop("name")
    return build(chosen, {**options, **given, **further}, _places(card, chosen))


def _places(card: Card, name: str) -> dict[str, int]:
    """Return the height and width of the model's grid, if the preset needs them."""
    layout = card.about.get("layout") or {}
    needed = needs(known()[name]) if name in known() else []
    return {key: layout[key] for key in needed if key in ("height", "width") and layout.get(key)}


def recommended(card: Card) -> dict[str, Any]:
    """Return the preset that the card recommends, `{"name": ..., "steps": ...}`, or the default."""
    from unmask.engine.run import DEFAULT

    advised = card.about.get("preset") or DEFAULT
    if not isinstance(advised, Mapping) or not isinstance(advised.get("name"), str):
        raise StrategyError(
            f"the model's card recommends {advised!r}, which names no preset: pass --preset"
        )
    return dict(advised)
