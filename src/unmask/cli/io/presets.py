"""Presets by name, as the shell gives them: collected from `unmask.presets`, never listed here."""

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

FLAGS = ("steps", "temperature", "schedule")  # these have an option of their own


def known() -> dict[str, Callable[..., Strategy]]:
    """Every preset of the package, by name."""
    from unmask import presets

    return {name: getattr(presets, name) for name in presets.__all__}


def takes(make: Callable[..., Strategy]) -> dict[str, Any]:
    """The options of a preset with their defaults, as the shell would write them."""
    parameters = inspect.signature(make).parameters.values()
    return {p.name: written(p.default) for p in parameters if p.default is not p.empty}


def needs(make: Callable[..., Strategy]) -> list[str]:
    """What a preset cannot do without and the shell cannot pass, such as a critic."""
    parameters = inspect.signature(make).parameters.values()
    return [p.name for p in parameters if p.default is p.empty]


def written(value: Any) -> Any:
    """A default as JSON knows it: a schedule by its name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return list(value) if isinstance(value, tuple) else value.name


def build(
    name: str, options: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Strategy:
    """The preset of this name with these options; StrategyError names what exists instead.

    given: what the preset needs and the model knows, such as the height of a board.
    """
    presets = known()
    if name not in presets:
        raise StrategyError(f"no preset {name!r}: {nearest(name, presets)}")
    make = presets[name]
    if missing := [each for each in needs(make) if each not in (given or {})]:
        raise StrategyError(
            f"preset {name!r} needs a {missing[0]}, which the shell cannot pass; from Python: "
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
    """`its options and their defaults: --steps 12, --set keep=0.3`."""
    return "its options and their defaults: " + ", ".join(starmap(typed, takes(make).items()))


def typed(name: str, value: Any) -> str:
    """An option of a preset as it is typed: `--steps 12`, `--set keep=0.3`."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--{name} {text}" if name in FLAGS else f"--set {name}={text}"


def fits(value: Any, hint: Any) -> bool:
    """Whether a value read from the shell is of a type that an annotation allows."""
    if get_origin(hint) is Literal:
        return isinstance(value, str)  # the preset itself knows the names
    kinds = {get_origin(kind) or kind for kind in get_args(hint) or (hint,)}
    if value is None or isinstance(value, bool | str):
        return type(value) in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`["keep=0.5", "remask=true"]` as a dict; values are JSON where they can be, else strings."""
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
    """The strategy that the options of a command ask for; what is not said, the card recommends.

    flags: --steps and its like, None where not given. pairs: what follows --set.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    further = settings(pairs)
    for key in sorted(further.keys() & given.keys()):
        raise StrategyError(f"--{key} and --set {key}= are both given: type one of them")
    options = {} if name else recommended(card)
    chosen = name or options.pop("name")
    return build(chosen, {**options, **given, **further}, _places(card, chosen))


def _places(card: Card, name: str) -> dict[str, int]:
    """The height and width of a model's grid, where the preset needs them."""
    layout = card.about.get("layout") or {}
    needed = needs(known()[name]) if name in known() else []
    return {key: layout[key] for key in needed if key in ("height", "width") and layout.get(key)}


def recommended(card: Card) -> dict[str, Any]:
    """What the card of a model advises, `{"name": ..., "steps": ...}`, or the default."""
    from unmask.engine.run import DEFAULT

    advised = card.about.get("preset") or DEFAULT
    if not isinstance(advised, Mapping) or not isinstance(advised.get("name"), str):
        raise StrategyError(
            f"the model's card recommends {advised!r}, which names no preset: pass --preset"
        )
    return dict(advised)
